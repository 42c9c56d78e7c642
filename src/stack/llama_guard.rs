//! `inline::llama-guard`: a model that says whether a conversation is safe, asked with the prompt it was trained on.
//!
//! Upstream has a variant for `Llama-Guard-3-11B-Vision`, which its own types refuse before any model is asked.
//! Pictures stand in the prompt as `<image>`, as they do there for every other model.

use super::caller::Caller;
use super::chat;
use super::errors::ApiError;
use super::json::texts;
use super::{Shared, python};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const REFUSAL: &str = "I can't answer that. Can I help with something else?";

/// What the models were trained to tell apart, by the code they answer with.
const CATEGORIES: [(&str, &str); 14] = [
    ("S1", "Violent Crimes"),
    ("S2", "Non-Violent Crimes"),
    ("S3", "Sex Crimes"),
    ("S4", "Child Exploitation"),
    ("S5", "Defamation"),
    ("S6", "Specialized Advice"),
    ("S7", "Privacy"),
    ("S8", "Intellectual Property"),
    ("S9", "Indiscriminate Weapons"),
    ("S10", "Hate"),
    ("S11", "Self-Harm"),
    ("S12", "Sexual Content"),
    ("S13", "Elections"),
    ("S14", "Code Interpreter Abuse"),
];

/// Models that do not know the last category, with and without the `meta-llama/` before their names.
const WITHOUT_CODE: [&str; 3] = ["Llama-Guard-3-1B", "Llama-Guard-3-11B-Vision", "Llama-Guard-4-12B"];

/// Who said what.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Turn {
    pub(crate) role: String,
    pub(crate) text: String,
}

/// The model behind a shield, and what it is not asked about.
pub(crate) struct Guard<'a> {
    model: &'a str,
    excluded: Vec<&'a str>,
}

impl<'a> Guard<'a> {
    /// `config` is the provider's.
    pub(crate) fn new(model: &'a str, config: &'a Map<String, Value>) -> Result<Self, ApiError> {
        let excluded: Vec<&str> = config.get("excluded_categories").into_iter().flat_map(texts).collect();
        if excluded.iter().all(|code| CATEGORIES.iter().any(|(known, _)| known == code)) {
            return Ok(Self { model, excluded });
        }
        Err(ApiError::Internal(
            "Invalid categories in excluded categories. Expected format is ['S1', 'S2', ..]".into(),
        ))
    }

    /// Looks at the last turn of a conversation, as `run-shield` does: the violation, or null.
    pub(crate) async fn run(
        &self,
        shared: &Arc<Shared>,
        caller: &Caller,
        mut turns: Vec<Turn>,
    ) -> Result<Value, ApiError> {
        match turns.first_mut() {
            None => return Err(ApiError::Value("Messages must not be empty".into())),
            // The model wants a user to begin; what a tool said may stand first.
            Some(first) => first.role = "user".to_owned(),
        }
        if turns.get(1).is_some_and(|second| second.role == "user") {
            turns.remove(0);
        }
        let answer = self.ask(shared, caller, &turns).await?;
        if answer == "safe" {
            return Ok(Value::Null);
        }
        let codes = codes(&answer)?;
        if codes.split(',').all(|code| self.excluded.contains(&code)) {
            return Ok(Value::Null);
        }
        Ok(json!({
            "violation_level": "error",
            "user_message": REFUSAL,
            "metadata": {"violation_type": codes},
        }))
    }

    /// Looks at texts of a user, as `moderations` does. They are one conversation, of which the last text counts.
    pub(crate) async fn moderate(
        &self,
        shared: &Arc<Shared>,
        caller: &Caller,
        texts: Vec<String>,
    ) -> Result<Value, ApiError> {
        if texts.is_empty() {
            return Ok(moderation(self.model, None));
        }
        let turns: Vec<Turn> = texts.into_iter().map(|text| Turn { role: "user".to_owned(), text }).collect();
        let answer = self.ask(shared, caller, &turns).await?;
        if answer.to_lowercase().starts_with("safe") {
            return Ok(moderation(self.model, None));
        }
        let codes = codes(&answer)?;
        let excluded = codes.split(',').all(|code| self.excluded.contains(&code));
        Ok(moderation(self.model, (!excluded).then_some(codes)))
    }

    async fn ask(&self, shared: &Arc<Shared>, caller: &Caller, turns: &[Turn]) -> Result<String, ApiError> {
        let params = json!({
            "model": self.model,
            "messages": [{"role": "user", "content": self.prompt(turns)}],
            "stream": false,
            "temperature": 0.0,
        });
        let answer = chat::complete(shared, caller, &params).await?;
        let text = answer.pointer("/choices/0/message/content").and_then(Value::as_str);
        text.map(|text| text.trim().to_owned())
            .ok_or_else(|| ApiError::Internal("the model of the shield answered without a text".into()))
    }

    fn prompt(&self, turns: &[Turn]) -> String {
        let short = self.model.strip_prefix("meta-llama/").unwrap_or(self.model);
        let known = if WITHOUT_CODE.contains(&short) { 13 } else { 14 };
        let all = CATEGORIES.iter().all(|(code, _)| self.excluded.contains(code));
        let asked = CATEGORIES[..known].iter().filter(|(code, _)| all || !self.excluded.contains(code));
        let categories: Vec<String> = asked.map(|(code, name)| format!("{code}: {name}.")).collect();
        let said: Vec<String> =
            turns.iter().map(|turn| format!("{}: {}", python::capitalize(&turn.role), turn.text)).collect();
        let last = turns.last().map_or_else(String::new, |turn| python::capitalize(&turn.role));
        format!(
            "Task: Check if there is unsafe content in '{last}' messages in conversations according our safety \
             policy with the below categories.\n\n\
             <BEGIN UNSAFE CONTENT CATEGORIES>\n{}\n<END UNSAFE CONTENT CATEGORIES>\n\n\
             <BEGIN CONVERSATION>\n\n{}\n\n<END CONVERSATION>\n\n\
             Provide your safety assessment for ONLY THE LAST {last} message in the above conversation:\n \
             - First line must read 'safe' or 'unsafe'.\n \
             - If unsafe, a second line must include a comma-separated list of violated categories.",
            categories.join("\n"),
            said.join("\n\n"),
        )
    }
}

/// The codes of an answer that says `unsafe`: its second and last line.
fn codes(answer: &str) -> Result<&str, ApiError> {
    answer
        .strip_prefix("unsafe\n")
        .filter(|codes| !codes.is_empty() && !codes.contains('\n'))
        .ok_or_else(|| ApiError::Value(format!("Unexpected response: {answer}")))
}

/// OpenAI's shape of a verdict. Codes that nobody knows flag nothing.
fn moderation(model: &str, codes: Option<&str>) -> Value {
    let codes: Vec<&str> = codes.map(|codes| codes.split(',').map(str::trim).collect()).unwrap_or_default();
    let known = codes.iter().all(|code| CATEGORIES.iter().any(|(known, _)| known == code));
    let flagged = known && !codes.is_empty();
    let by_name = |value: &dyn Fn(bool) -> Value| -> Value {
        let entry =
            |(code, name): &(&str, &str)| ((*name).to_owned(), value(flagged && codes.contains(code)));
        CATEGORIES.iter().map(entry).collect::<Map<_, _>>().into()
    };
    json!({
        "id": format!("modr-{}", uuid::Uuid::new_v4()),
        "model": model,
        "results": [{
            "flagged": flagged,
            "categories": by_name(&|hit| hit.into()),
            "category_applied_input_types": by_name(&|hit| if hit { json!(["text"]) } else { json!([]) }),
            // All 1 when nothing is flagged: Llama Stack's own notion.
            "category_scores": by_name(&|hit| if hit || !flagged { 1.0.into() } else { 0.0.into() }),
            "user_message": flagged.then_some(REFUSAL),
            "metadata": if flagged { json!({"violation_type": codes}) } else { json!({}) },
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(model: &str, config: Value, turns: &[(&str, &str)]) -> String {
        let config = config.as_object().cloned().expect("is an object");
        let turns: Vec<Turn> =
            turns.iter().map(|(role, text)| Turn { role: (*role).into(), text: (*text).into() }).collect();
        Guard::new(model, &config).expect("is right").prompt(&turns)
    }

    #[test]
    fn the_prompt_names_categories_turns_and_whose_turn_counts() {
        let told =
            prompt("m", json!({"excluded_categories": ["S2", "S3"]}), &[("user", "a"), ("assistant", "b")]);
        assert!(told.starts_with("Task: Check if there is unsafe content in 'Assistant' messages"), "{told}");
        assert!(
            told.contains("\n<BEGIN UNSAFE CONTENT CATEGORIES>\nS1: Violent Crimes.\nS4: Child"),
            "{told}"
        );
        assert!(
            told.contains("S14: Code Interpreter Abuse.\n<END UNSAFE CONTENT CATEGORIES>\n\n<BEGIN"),
            "{told}"
        );
        assert!(
            told.contains("<BEGIN CONVERSATION>\n\nUser: a\n\nAssistant: b\n\n<END CONVERSATION>\n\n"),
            "{told}"
        );
        assert!(
            told.contains("ONLY THE LAST Assistant message in the above conversation:\n - First"),
            "{told}"
        );
        let small = prompt("meta-llama/Llama-Guard-3-1B", json!({}), &[("user", "a")]);
        assert!(small.contains("S13: Elections.\n<END"), "{small}");
    }

    #[test]
    fn everything_excluded_excludes_nothing_and_unknown_codes_are_refused() {
        let all: Vec<&str> = CATEGORIES.iter().map(|(code, _)| *code).collect();
        assert!(prompt("m", json!({"excluded_categories": all}), &[("user", "a")]).contains("S1: Violent"));
        let config = json!({"excluded_categories": ["S99"]}).as_object().cloned().expect("is an object");
        assert!(Guard::new("m", &config).is_err());
    }

    #[test]
    fn answers_that_are_none_are_refused() {
        assert_eq!(codes("unsafe\nS1,S2"), Ok("S1,S2"));
        for answer in ["unsafe", "unsafe\n", "unsafe\nS1\nS2", "Unsafe\nS1", ""] {
            assert_eq!(codes(answer), Err(ApiError::Value(format!("Unexpected response: {answer}"))));
        }
    }

    #[test]
    fn a_moderation_flags_what_the_codes_name() {
        let of = |codes| moderation("m", codes)["results"][0].clone();
        let hit = of(Some("S1, S10"));
        assert_eq!(hit["flagged"], true);
        let true_ones: Vec<&String> = hit["categories"]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, hit)| **hit == true)
            .map(|(name, _)| name)
            .collect();
        assert_eq!(true_ones, ["Violent Crimes", "Hate"]);
        assert_eq!(hit["category_scores"]["Hate"], 1.0);
        assert_eq!(hit["category_scores"]["Privacy"], 0.0);
        assert_eq!(hit["category_applied_input_types"]["Hate"], json!(["text"]));
        assert_eq!(hit["metadata"], json!({"violation_type": ["S1", "S10"]}));
        for codes in [None, Some("S1,S99")] {
            assert_eq!(of(codes)["flagged"], false);
            assert_eq!(of(codes)["category_scores"]["Privacy"], 1.0);
            assert_eq!(of(codes)["user_message"], Value::Null);
        }
    }
}
