//! One expression engine (minijinja, strict) for `${{ … }}` and for conditions.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use minijinja::value::Serde;
use minijinja::{Environment, Expression as Compiled, UndefinedBehavior};
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

/// Names and their values, as a trial knows them at one moment.
pub type Scope = serde_json::Map<String, Value>;

/// Functions that the engine itself defines.
const GLOBALS: [&str; 3] = ["dict", "namespace", "range"];

static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.add_filter("folded", |text: String| fold(&text));
    engine.add_filter("from_json", |text: String| {
        serde_json::from_str::<Value>(&text)
            .map(|value| minijinja::Value::from(Serde(value)))
            .map_err(|error| minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, error.to_string()))
    });
    engine
});

/// Lower case without diacritics (canonical decomposition, combining marks dropped).
pub fn fold(text: &str) -> String {
    text.nfd()
        .filter(|c| !unicode_normalization::char::is_combining_mark(*c))
        .collect::<String>()
        .to_lowercase()
}

/// A compiled expression.
#[derive(Clone)]
pub struct Expression {
    source: Arc<str>,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    /// `row.tools` or `models[0].id`: read from the scope as it is, numbers and key order untouched.
    Path(Arc<[Step]>),
    Compiled {
        code: Arc<Compiled<'static, 'static>>,
        roots: BTreeSet<String>,
    },
}

#[derive(Debug, Clone)]
enum Step {
    Key(String),
    Index(usize),
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionError {
    pub message: String,
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "${{{{ {} }}}}", self.source)
    }
}

impl Expression {
    pub fn compile(source: &str) -> Result<Self, ExpressionError> {
        let trimmed = source.trim();
        if let Some(path) = parse_path(trimmed) {
            return Ok(Self { source: trimmed.into(), kind: Kind::Path(path.into()) });
        }
        let compiled =
            ENGINE.compile_expression_owned(trimmed.to_owned()).map_err(|error| error_of(&error))?;
        let roots =
            compiled.undeclared_variables(false).into_iter().filter(|name| !GLOBALS.contains(&name.as_str()));
        let roots = roots.collect();
        let kind = Kind::Compiled { code: Arc::new(compiled), roots };
        Ok(Self { source: trimmed.into(), kind })
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it asks of a name as a plain path, as `url` of `server` in `server.url`.
    pub fn member_of(&self, name: &str) -> Option<&str> {
        match &self.kind {
            Kind::Path(path) => match &path[..] {
                [Step::Key(root), Step::Key(member), ..] if root == name => Some(member),
                _ => None,
            },
            Kind::Compiled { .. } => None,
        }
    }

    /// The names it starts from: `row` for `row.tools`.
    pub fn roots(&self) -> BTreeSet<String> {
        match &self.kind {
            Kind::Path(path) => match path.first() {
                Some(Step::Key(key)) => BTreeSet::from([key.clone()]),
                _ => BTreeSet::new(),
            },
            Kind::Compiled { roots, .. } => roots.clone(),
        }
    }

    pub fn eval(&self, scope: &Scope) -> Result<Value, ExpressionError> {
        match &self.kind {
            Kind::Path(path) => self.walk(path, scope),
            Kind::Compiled { code, roots } => {
                let mut context = Scope::new();
                // The engine does not count names inside a slice, so what the text mentions is given too.
                let mentioned = |name: &str| roots.contains(name) || self.source.contains(name);
                context.extend(
                    scope.iter().filter(|(name, _)| mentioned(name)).map(|(n, v)| (n.clone(), v.clone())),
                );
                let value = code.eval(minijinja::Value::from(Serde(context))).map_err(|error| match roots
                    .iter()
                    .find(|root| !scope.contains_key(root.as_str()))
                {
                    Some(root) => plain(format!("`{root}` is undefined; known: {}", names(scope))),
                    None => error_of(&error),
                })?;
                if value.is_undefined() {
                    return Err(plain(format!("`{}` is undefined", self.source)));
                }
                serde_json::to_value(&value).map_err(|error| plain(error.to_string()))
            }
        }
    }

    fn walk(&self, path: &[Step], scope: &Scope) -> Result<Value, ExpressionError> {
        let mut at: Option<&Value> = None;
        for (depth, step) in path.iter().enumerate() {
            let next = match (at, step) {
                (None, Step::Key(key)) => scope.get(key),
                (Some(value), Step::Key(key)) => value.get(key),
                (Some(value), Step::Index(index)) => value.get(index),
                (None, Step::Index(_)) => None,
            };
            at = Some(next.ok_or_else(|| {
                let known = match at {
                    Some(Value::Object(map)) => format!("; known: {}", names(map)),
                    Some(other) => format!("; it stands after {}", short(other)),
                    None => format!("; known: {}", names(scope)),
                };
                plain(format!("`{}` is undefined at `{}`{known}", self.source, shown(&path[..=depth])))
            })?);
        }
        Ok(at.cloned().unwrap_or(Value::Null))
    }
}

/// Whether a value counts as true in a condition: as in Python, empty and zero are false.
pub fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(s) => !s.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn names(map: &Scope) -> String {
    let mut names: Vec<&str> = map.keys().map(String::as_str).collect();
    names.sort_unstable();
    names.join(", ")
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

fn shown(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text.extend([".", key]),
            Step::Index(index) => text.extend(["[", &index.to_string(), "]"]),
        }
    }
    text
}

fn plain(message: String) -> ExpressionError {
    ExpressionError { message }
}

fn error_of(error: &minijinja::Error) -> ExpressionError {
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    ExpressionError { message: format!("{}{detail}", error.kind()) }
}

fn parse_path(text: &str) -> Option<Vec<Step>> {
    const WORDS: [&str; 10] = ["true", "false", "none", "True", "False", "None", "not", "and", "or", "in"];
    let name = |s: &str| {
        let mut chars = s.chars();
        chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !WORDS.contains(&s)
    };
    let mut steps = Vec::new();
    for part in text.split('.') {
        let (key, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
        if !name(key) {
            return None;
        }
        steps.push(Step::Key(key.to_owned()));
        while !rest.is_empty() {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            rest = after;
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(source: &str, want: Result<Value, &str>) {
        let scope = json!({"score": 0.5, "n": 3, "row": {"q": "Türkiye", "tools": [{"z": 1, "a": 1.0}]}, "s": "{\"k\": [1]}"});
        let Value::Object(scope) = scope else { unreachable!() };
        let got = Expression::compile(source).and_then(|e| e.eval(&scope)).map_err(|e| e.message);
        assert_eq!(got, want.map_err(str::to_owned), "{source}");
    }

    #[test]
    fn expressions_compute_and_paths_keep_values_as_they_are() {
        check("score + 0.0001", Ok(json!(0.5001)));
        check("n + 1", Ok(json!(4)));
        check("row.tools[0]", Ok(json!({"z": 1, "a": 1.0})));
        check("row.q | folded", Ok(json!("turkiye")));
        check("(s | from_json).k[0] == 1", Ok(json!(true)));
        check("n in [1, 2]", Ok(json!(false)));
        check("range(n) | list", Ok(json!([0, 1, 2])));
        check("s[0:2]", Ok(json!("{\"")));
    }

    #[test]
    fn undefined_names_say_what_is_known() {
        check("row.x", Err("`row.x` is undefined at `row.x`; known: q, tools"));
        check("nope", Err("`nope` is undefined at `nope`; known: n, row, s, score"));
        check("n.x", Err("`n.x` is undefined at `n.x`; it stands after 3"));
        check("nope + 1", Err("`nope` is undefined; known: n, row, s, score"));
    }
}
