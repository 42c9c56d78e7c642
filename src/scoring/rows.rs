//! The functions of the provider `basic`: what each says of one row.

use super::{Row, Unscored, first_group, text, texts};
use serde_json::{Value, json};

/// Scores one row with a function's parameters.
pub(crate) type Scorer = fn(&Row, &Value) -> Result<Row, Unscored>;

/// The function of this name.
///
/// # Errors
/// For a name that Llama Stack knows and nothing here implements; `None` for all others.
pub(crate) fn scorer(name: &str) -> Result<Option<Scorer>, Unscored> {
    match name {
        "basic::equality" => Ok(Some(equality)),
        "basic::subset_of" => Ok(Some(subset_of)),
        "basic::regex_parser_multiple_choice_answer" => Ok(Some(choice)),
        "basic::regex_parser_math_response" | "basic::ifeval" | "basic::docvqa" => {
            Err(Unscored::NotImplemented(format!("the in-process stack does not score with {name}")))
        }
        _ => Ok(None),
    }
}

fn score(hit: bool) -> Row {
    let row = json!({"score": if hit { 1.0 } else { 0.0 }});
    row.as_object().cloned().unwrap_or_default()
}

fn equality(row: &Row, _: &Value) -> Result<Row, Unscored> {
    let value = |name: &str| row.get(name).ok_or_else(|| Unscored::Unfit(format!("a row has no `{name}`")));
    let (expected, generated) = (value("expected_answer")?, value("generated_answer")?);
    let equal = match (expected.as_f64(), generated.as_f64()) {
        (Some(expected), Some(generated)) => expected.to_bits() == generated.to_bits(),
        _ => expected == generated,
    };
    Ok(score(equal))
}

fn subset_of(row: &Row, _: &Value) -> Result<Row, Unscored> {
    if let (Some(expected), Some(Value::Array(generated))) =
        (row.get("expected_answer"), row.get("generated_answer"))
    {
        return Ok(score(generated.contains(expected)));
    }
    Ok(score(text(row, "generated_answer")?.contains(text(row, "expected_answer")?)))
}

fn choice(row: &Row, params: &Value) -> Result<Row, Unscored> {
    if params.get("type").is_none_or(|kind| kind != "regex_parser") {
        return Err(Unscored::Unfit("parameters of the type `regex_parser` are needed".into()));
    }
    let expected = text(row, "expected_answer")?;
    let found = first_group(texts(params, "parsing_regexes"), text(row, "generated_answer")?)?;
    Ok(score(found.is_some_and(|found| !found.is_empty() && found == expected)))
}

#[cfg(test)]
mod tests {
    use super::super::definitions;
    use super::*;

    /// The score of one row, with the function's own parameters.
    fn scored(name: &str, generated: Value, expected: Value) -> Result<f64, String> {
        let all = definitions("inline::basic", "basic");
        let function = all.iter().find(|function| function["identifier"] == name).unwrap();
        let row = json!({"generated_answer": generated, "expected_answer": expected});
        let scorer = scorer(name).map_err(|error| error.to_string())?.unwrap();
        let score = scorer(row.as_object().unwrap(), &function["params"]);
        score.map(|score| score["score"].as_f64().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn equal_is_equal() {
        assert_eq!(scored("basic::equality", "Paris".into(), "Paris".into()), Ok(1.0));
        assert_eq!(scored("basic::equality", "Paris.".into(), "Paris".into()), Ok(0.0));
        assert_eq!(scored("basic::equality", json!(1), json!(1.0)), Ok(1.0));
        let nothing = equality(&Row::new(), &Value::Null).expect_err("no answer");
        assert_eq!(nothing.to_string(), "a row has no `expected_answer`");
    }

    #[test]
    fn a_part_is_found() {
        assert_eq!(scored("basic::subset_of", "It is Paris.".into(), "Paris".into()), Ok(1.0));
        assert_eq!(scored("basic::subset_of", json!(["a", "b"]), "b".into()), Ok(1.0));
        assert_eq!(
            scored("basic::subset_of", json!(3), "b".into()),
            Err("`generated_answer` of a row is no text".into())
        );
    }

    #[test]
    fn the_letter_is_found_in_many_languages() {
        for answer in ["Answer: B", "the best answer is b", "Antwort : B", "答案： B"] {
            let expected = if answer.ends_with('b') { "b" } else { "B" };
            let name = "basic::regex_parser_multiple_choice_answer";
            assert_eq!(scored(name, answer.into(), expected.into()), Ok(1.0), "{answer}");
            assert_eq!(scored(name, answer.into(), "C".into()), Ok(0.0), "{answer}");
        }
    }

    #[test]
    fn what_is_not_implemented_says_so() {
        let error = scorer("basic::ifeval").expect_err("not here").to_string();
        assert_eq!(error, "the in-process stack does not score with basic::ifeval");
        assert!(scorer("basic::nope").unwrap().is_none());
    }
}
