//! Values with `${{ … }}` in them: compiled once, filled per trial or per step.

use std::fmt::Write as _;

use serde_json::Value;

use super::expression::{Expression, Scope};
use crate::source::{Node, NodeValue, Problems, Span};

/// A value that may depend on a [`Scope`].
#[derive(Debug, Clone)]
pub enum Template {
    Value(Value),
    /// A string that is one expression as a whole keeps the expression's type.
    Whole(Placed),
    Text(Vec<Part>),
    List(Vec<Template>),
    Map(Vec<(String, Template)>),
}

/// A piece of a string template.
#[derive(Debug, Clone)]
pub enum Part {
    Literal(String),
    Hole(Placed),
}

/// An expression and where it was written.
#[derive(Debug, Clone)]
pub struct Placed {
    pub expression: Expression,
    pub span: Span,
}

/// Why a template could not be filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FillError {
    pub message: String,
    pub span: Span,
}

impl Template {
    /// Compiles every string below `node`; each bad expression is a problem at its place.
    pub fn compile(node: &Node, problems: &mut Problems) -> Self {
        match &node.value {
            NodeValue::Text(text) => Self::text(text, &node.span, problems),
            NodeValue::List(items) => {
                Self::List(items.iter().map(|item| Self::compile(item, problems)).collect())
            }
            NodeValue::Map(pairs) => Self::Map(
                pairs
                    .iter()
                    .map(|(key, value)| (key.value.clone(), Self::compile(value, problems)))
                    .collect(),
            ),
            _ => Self::Value(node.to_json()),
        }
        .simplified()
    }

    /// A condition: an expression, with or without `${{ }}` around it.
    pub fn condition(text: &str, span: &Span, problems: &mut Problems) -> Self {
        let trimmed = text.trim();
        let bare = trimmed.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}")).unwrap_or(trimmed);
        match Expression::compile(bare) {
            Ok(expression) => Self::Whole(Placed { expression, span: span.clone() }),
            Err(error) => {
                problems.push(bad_expression(bare, &error.message, span));
                Self::Value(Value::Null)
            }
        }
    }

    pub fn text(text: &str, span: &Span, problems: &mut Problems) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("${{") {
            if start > 0 {
                parts.push(Part::Literal(rest[..start].to_owned()));
            }
            let inner = &rest[start + 3..];
            match hole(inner) {
                Ok((expression, length)) => {
                    let source = expression.source().to_owned();
                    parts.push(Part::Hole(Placed { expression, span: narrow(span, &source) }));
                    rest = &inner[length..];
                }
                Err(message) => {
                    let shown = inner.split("}}").next().unwrap_or(inner);
                    problems.push(bad_expression(shown.trim(), &message, span));
                    return Self::Value(Value::Null);
                }
            }
        }
        if !rest.is_empty() || parts.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        match parts.as_slice() {
            [Part::Literal(text)] => Self::Value(Value::String(text.clone())),
            [Part::Hole(placed)] => Self::Whole(placed.clone()),
            _ => Self::Text(parts),
        }
    }

    fn simplified(self) -> Self {
        match self {
            Self::List(items) if items.iter().all(Self::is_constant) => {
                Self::Value(items.into_iter().filter_map(Self::into_constant).collect())
            }
            Self::Map(pairs) if pairs.iter().all(|(_, value)| value.is_constant()) => {
                Self::Value(Value::Object(
                    pairs
                        .into_iter()
                        .filter_map(|(key, value)| Some((key, value.into_constant()?)))
                        .collect(),
                ))
            }
            other => other,
        }
    }

    fn is_constant(&self) -> bool {
        matches!(self, Self::Value(_))
    }

    fn into_constant(self) -> Option<Value> {
        match self {
            Self::Value(value) => Some(value),
            _ => None,
        }
    }

    /// Every expression in it, for checks before anything runs.
    pub fn expressions<'a>(&'a self, into: &mut Vec<&'a Placed>) {
        match self {
            Self::Value(_) => {}
            Self::Whole(placed) => into.push(placed),
            Self::Text(parts) => into.extend(parts.iter().filter_map(|part| match part {
                Part::Hole(placed) => Some(placed),
                Part::Literal(_) => None,
            })),
            Self::List(items) => items.iter().for_each(|item| item.expressions(into)),
            Self::Map(pairs) => pairs.iter().for_each(|(_, value)| value.expressions(into)),
        }
    }

    /// The value under a scope.
    pub fn fill(&self, scope: &Scope) -> Result<Value, FillError> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::Whole(placed) => placed.eval(scope),
            Self::Text(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Literal(literal) => text.push_str(literal),
                        Part::Hole(placed) => match placed.eval(scope)? {
                            Value::String(inner) => text.push_str(&inner),
                            other => {
                                let _ = write!(text, "{other}");
                            }
                        },
                    }
                }
                Ok(Value::String(text))
            }
            Self::List(items) => {
                items.iter().map(|item| item.fill(scope)).collect::<Result<_, _>>().map(Value::Array)
            }
            Self::Map(pairs) => pairs
                .iter()
                .map(|(key, value)| Ok((key.clone(), value.fill(scope)?)))
                .collect::<Result<_, _>>()
                .map(Value::Object),
        }
    }

    /// The text as written, with `{id}` for what is filled in.
    pub fn pattern(&self) -> String {
        match self {
            Self::Value(Value::String(text)) => text.clone(),
            Self::Text(parts) => {
                let shown = |part: &Part| match part {
                    Part::Literal(literal) => literal.clone(),
                    Part::Hole(_) => "{id}".to_owned(),
                };
                parts.iter().map(shown).collect()
            }
            _ => "{id}".to_owned(),
        }
    }

    /// Fills it and writes the value as text: strings as they are, anything else as JSON.
    pub fn fill_text(&self, scope: &Scope) -> Result<String, FillError> {
        Ok(match self.fill(scope)? {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }
}

impl Placed {
    fn eval(&self, scope: &Scope) -> Result<Value, FillError> {
        self.expression
            .eval(scope)
            .map_err(|error| FillError { message: error.message, span: self.span.clone() })
    }
}

/// The expression up to the first `}}` that closes it: braces of a literal may come before.
fn hole(inner: &str) -> Result<(Expression, usize), String> {
    let mut first_error = None;
    for (end, _) in inner.match_indices("}}") {
        match Expression::compile(&inner[..end]) {
            Ok(expression) => return Ok((expression, end + 2)),
            Err(error) => _ = first_error.get_or_insert(error.message),
        }
    }
    Err(first_error.unwrap_or_else(|| "`${{` without `}}`".to_owned()))
}

/// The part of a string's place that holds the expression itself, when it can be found there.
fn narrow(span: &Span, source: &str) -> Span {
    let written = span.file.text.get(span.start..span.end).unwrap_or_default();
    match written.find(source) {
        Some(offset) => {
            Span { start: span.start + offset, end: span.start + offset + source.len(), ..span.clone() }
        }
        None => span.clone(),
    }
}

fn bad_expression(source: &str, message: &str, span: &Span) -> crate::source::Problem {
    let shown = source.lines().next().unwrap_or_default();
    crate::source::Problem::new(format!("bad expression `{}`: {message}", shown.trim()))
        .at(span)
        .help("expressions are Jinja2's, as in `${{ text_model }}` or `${{ score + 0.1 }}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceFile;
    use serde_json::json;

    fn check(yaml: &str, want: Result<Value, &str>) {
        let node = Node::parse(&SourceFile::inline("t.yaml", yaml)).expect("parses");
        let Value::Object(scope) = json!({"model": "m", "n": 2, "tools": [{"b": 1, "a": 2}]}) else {
            unreachable!()
        };
        let mut problems = Problems::default();
        let template = Template::compile(&node, &mut problems);
        let got = match problems.iter().next() {
            Some(problem) => Err(problem.message.clone()),
            None => template.fill(&scope).map_err(|error| format!("{:?} {}", error.span, error.message)),
        };
        assert_eq!(got, want.map_err(str::to_owned));
    }

    #[test]
    fn whole_expressions_keep_their_type_and_text_is_joined() {
        check("{a: '${{ n }}', b: 'x-${{ n }}-${{ model }}'}", Ok(json!({"a": 2, "b": "x-2-m"})));
        check("'${{ {\"k\": {\"v\": n}} }}'", Ok(json!({"k": {"v": 2}})));
        check(
            "['${{ tools }}', $plain, '{{ left }}']",
            Ok(json!([[{"b": 1, "a": 2}], "$plain", "{{ left }}"])),
        );
    }

    #[test]
    fn mistakes_have_their_place() {
        check("a: 'x ${{ mode }}'", Err("t.yaml:1:11 `mode` is undefined at `mode`; known: model, n, tools"));
        check(
            "a: '${{ n + }}'",
            Err("bad expression `n +`: syntax error: unexpected end of input, expected expression"),
        );
        check("a: '${{ n'", Err("bad expression `n`: `${{` without `}}`"));
    }
}
