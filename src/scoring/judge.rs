//! A model as the judge: its prompt, and the rating in what it answers.

use super::{Row, Unscored, first_group, text, texts};
use serde_json::Value;

/// What a judge is asked with.
#[derive(Debug)]
pub(crate) struct Judge<'a> {
    pub(crate) model: &'a str,
    template: &'a str,
}

impl<'a> Judge<'a> {
    /// Reads a function's parameters.
    pub(crate) fn new(params: &'a Value) -> Result<Self, Unscored> {
        let field = |name: &str| {
            let text = params.get(name).and_then(Value::as_str);
            text.ok_or_else(|| Unscored::Unfit(format!("the judge has no `{name}`")))
        };
        Ok(Self { model: field("judge_model")?, template: field("prompt_template")? })
    }

    /// The prompt for a row: `{input_query}`, `{expected_answer}` and `{generated_answer}` filled in, as Python's
    /// `format` does; `{{` and `}}` are braces.
    pub(crate) fn prompt(&self, row: &Row) -> Result<String, Unscored> {
        let mut known = [("input_query", ""), ("expected_answer", ""), ("generated_answer", "")];
        for (name, value) in &mut known {
            *value = text(row, name)?;
        }
        let mut prompt = String::new();
        let mut rest = self.template;
        while let Some(at) = rest.find(['{', '}']) {
            prompt.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                prompt.push_str(brace);
                rest = after;
                continue;
            }
            let field = rest.split_once('}').filter(|_| brace == "{");
            let Some((name, after)) = field else {
                return Err(Unscored::Unfit(format!("the prompt template has a single `{brace}`")));
            };
            let Some((_, value)) = known.iter().find(|(known, _)| *known == name) else {
                return Err(Unscored::Unfit(format!("the prompt template asks for `{name}`")));
            };
            prompt.push_str(value);
            rest = after;
        }
        prompt.push_str(rest);
        Ok(prompt)
    }
}

/// The score of what a judge answered: what the first pattern that is found has in its group, else null.
pub(crate) fn rating(params: &Value, answer: &str) -> Result<Row, Unscored> {
    let found = first_group(texts(params, "judge_score_regexes"), answer)?;
    let mut row = Row::new();
    row.insert("score".into(), found.map_or(Value::Null, Value::from));
    row.insert("judge_feedback".into(), answer.into());
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn prompt(template: &str) -> Result<String, String> {
        let row = json!({"input_query": "q?", "expected_answer": "{e}", "generated_answer": "g"});
        let params = json!({"judge_model": "m", "prompt_template": template});
        let judge = Judge::new(&params).map_err(|error| error.to_string())?;
        judge.prompt(row.as_object().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn templates_are_filled_in() {
        assert_eq!(
            prompt("{input_query} {{x}} {expected_answer}{generated_answer}é"),
            Ok("q? {x} {e}gé".into())
        );
        assert_eq!(prompt("{x}"), Err("the prompt template asks for `x`".into()));
        assert_eq!(prompt("a } b"), Err("the prompt template has a single `}`".into()));
        assert_eq!(prompt("a { b"), Err("the prompt template has a single `{`".into()));
        assert!(Judge::new(&json!({"judge_model": "m", "prompt_template": null})).is_err());
    }

    #[test]
    fn the_rating_is_a_text() {
        let rated = |answer: &str| {
            let params = json!({"judge_score_regexes": [r"Score: (\d+)", r"(\d+)/10"]});
            Value::from(rating(&params, answer).unwrap()).to_string()
        };
        assert_eq!(rated("Score: 7"), r#"{"score":"7","judge_feedback":"Score: 7"}"#);
        assert_eq!(rated("8/10"), r#"{"score":"8","judge_feedback":"8/10"}"#);
        assert_eq!(rated("good"), r#"{"score":null,"judge_feedback":"good"}"#);
        assert!(rating(&json!({"judge_score_regexes": ["("]}), "x").is_err());
    }
}
