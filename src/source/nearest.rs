//! "Did you mean": the nearest of a set of known names.

/// The known name that a typing mistake most likely meant, if one is near enough.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = wrong.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&folded, &name.to_lowercase().replace('-', "_")), name))
        .filter(|(distance, name)| *distance <= (name.chars().count().max(wrong.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Help text for an unknown name: the nearest one, else all that are known.
pub fn suggestion(wrong: &str, known: &[&str]) -> String {
    if let Some(name) = nearest(wrong, known.iter().copied()) {
        return format!("did you mean `{name}`?");
    }
    match known {
        [] => "none is defined".to_owned(),
        names => format!("known: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_name_and_nonsense_lists_all() {
        assert_eq!(nearest("respones", ["base", "responses", "vision"]), Some("responses"));
        assert_eq!(nearest("text-model", ["text_model", "vision_model"]), Some("text_model"));
        assert_eq!(nearest("quux", ["base", "vision"]), None);
        assert_eq!(suggestion("quux", &["base", "vision"]), "known: base, vision");
    }
}
