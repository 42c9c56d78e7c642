//! `${env.NAME}` in a run configuration.
//!
//! | written | NAME set and not empty | otherwise |
//! |---|---|---|
//! | `${env.NAME}` | its value | an error |
//! | `${env.NAME:=text}` | its value | `text` |
//! | `${env.NAME:+text}` | `text` | nothing |
//!
//! A text that changed is read again as a boolean, a number or nothing, as Llama Stack does.

use super::config::Env;
use serde_json::{Map, Value};

/// A variable without a default that is not set, or empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unset {
    pub(crate) variable: String,
    /// Where it is used, e.g. `providers.inference[0].config.url`.
    pub(crate) path: String,
}

/// `value` with every reference replaced.
///
/// An object in a list whose `provider_id` comes to nothing is dropped before the rest of it is looked at: a
/// disabled provider needs none of its variables.
pub(crate) fn resolve(value: &Value, env: &Env, path: &str) -> Result<Value, Unset> {
    match value {
        Value::Object(map) => {
            let mut out = Map::new();
            for (key, item) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                out.insert(key.clone(), resolve(item, env, &path)?);
            }
            Ok(out.into())
        }
        Value::Array(items) => {
            let mut out = Vec::new();
            for (i, item) in items.iter().enumerate() {
                let path = format!("{path}[{i}]");
                if !disabled(item, env, &path)? {
                    out.push(resolve(item, env, &path)?);
                }
            }
            Ok(out.into())
        }
        Value::String(text) => {
            let replaced = replace(text, env, path)?;
            Ok(if replaced == *text { value.clone() } else { retyped(replaced) })
        }
        scalar => Ok(scalar.clone()),
    }
}

fn disabled(item: &Value, env: &Env, path: &str) -> Result<bool, Unset> {
    let Some(id) = item.get("provider_id") else { return Ok(false) };
    let id = resolve(id, env, &format!("{path}.provider_id"))?;
    Ok(id.is_null() || id == "" || id == "__disabled__")
}

fn replace(text: &str, env: &Env, path: &str) -> Result<String, Unset> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${env.") {
        let Some((reference, length)) = Reference::parse(&rest[start..]) else {
            let (kept, after) = rest.split_at(start + 2);
            out.push_str(kept);
            rest = after;
            continue;
        };
        out.push_str(&rest[..start]);
        out.push_str(&reference.value(env, path)?);
        rest = &rest[start + length..];
    }
    out.push_str(rest);
    Ok(out)
}

struct Reference<'a> {
    variable: &'a str,
    otherwise: Otherwise<'a>,
}

enum Otherwise<'a> {
    Fail,
    Default(&'a str),
    /// The text stands when the variable is set, and nothing when it is not.
    OnlyIfSet(&'a str),
}

impl<'a> Reference<'a> {
    /// The reference at the start of `text` and its length in bytes.
    fn parse(text: &'a str) -> Option<(Self, usize)> {
        let inner = text.strip_prefix("${env.")?;
        let end = inner.find('}')?;
        let inner = &inner[..end];
        let name_end = inner
            .find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
            .unwrap_or(inner.len());
        let (variable, operator) = inner.split_at(name_end);
        let otherwise = match operator {
            "" => Otherwise::Fail,
            _ => match (operator.strip_prefix(":="), operator.strip_prefix(":+")) {
                (Some(text), _) => Otherwise::Default(text),
                (_, Some(text)) => Otherwise::OnlyIfSet(text),
                _ => return None,
            },
        };
        (!variable.is_empty()).then_some((Self { variable, otherwise }, "${env.".len() + end + 1))
    }

    fn value(&self, env: &Env, path: &str) -> Result<String, Unset> {
        let set = env.get(self.variable).filter(|value| !value.is_empty());
        let value = match (&self.otherwise, set) {
            (Otherwise::Fail | Otherwise::Default(_), Some(value)) => value,
            (Otherwise::Default(text), None) | (Otherwise::OnlyIfSet(text), Some(_)) => *text,
            (Otherwise::OnlyIfSet(_), None) => "",
            (Otherwise::Fail, None) => {
                return Err(Unset { variable: self.variable.to_owned(), path: path.to_owned() });
            }
        };
        Ok(home_expanded(value, env))
    }
}

fn home_expanded(value: &str, env: &Env) -> String {
    match (value.strip_prefix('~'), env.get("HOME")) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => format!("{home}{rest}"),
        _ => value.to_owned(),
    }
}

fn retyped(text: String) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    match text.to_ascii_lowercase().as_str() {
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        _ => {}
    }
    if let Ok(number) = text.trim().parse::<i64>() {
        return number.into();
    }
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => number.into(),
        _ => Value::String(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn env() -> Env {
        let pairs = [("A", "a"), ("EMPTY", ""), ("PORT", "81"), ("HOME", "/home/u"), ("YES", "True")];
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn check(written: &str, want: &Value) {
        assert_eq!(resolve(&json!(written), &env(), "").as_ref(), Ok(want), "{written}");
    }

    #[test]
    fn references_resolve() {
        check("${env.A}", &json!("a"));
        check("${env.A:=b}", &json!("a"));
        check("${env.B:=b}", &json!("b"));
        check("${env.EMPTY:=b}", &json!("b"));
        check("${env.B:=}", &json!(null));
        check("${env.A:+on}", &json!("on"));
        check("${env.B:+on}", &json!(null));
        check("x-${env.A}-${env.B:=b}", &json!("x-a-b"));
        check("${env.B:=http://localhost:11434}", &json!("http://localhost:11434"));
        check("${env.D:=~/.llama}/kv.db", &json!("/home/u/.llama/kv.db"));
        check("no reference ${env.a} ${other} ${env.A", &json!("no reference ${env.a} ${other} ${env.A"));
    }

    #[test]
    fn replaced_text_is_typed_again_and_written_text_is_not() {
        check("${env.PORT}", &json!(81));
        check("${env.YES}", &json!(true));
        check("${env.B:=1.5}", &json!(1.5));
        check("81", &json!("81"));
    }

    #[test]
    fn an_unset_variable_is_named_with_its_place() {
        let value = json!({"providers": {"inference": [{"config": {"url": "${env.NOPE}"}}]}});
        let want = Unset { variable: "NOPE".into(), path: "providers.inference[0].config.url".into() };
        assert_eq!(resolve(&value, &env(), ""), Err(want));
    }

    #[test]
    fn a_disabled_provider_needs_no_variables() {
        let value = json!([
            {"provider_id": "${env.B:+b}", "config": {"url": "${env.NOPE}"}},
            {"provider_id": "__disabled__", "config": {"url": "${env.NOPE}"}},
            {"provider_id": "a"}
        ]);
        assert_eq!(resolve(&value, &env(), ""), Ok(json!([{"provider_id": "a"}])));
    }
}
