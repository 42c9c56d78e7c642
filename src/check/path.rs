//! JSONPath (RFC 9535) with errors for people, and the knowledge whether a path can find many nodes.

use std::fmt::{self, Write as _};

use serde_json::Value;
use serde_json_path::{JsonPath, NormalizedPath, PathElement};

/// A parsed JSONPath. Two are equal when they were written alike.
#[derive(Debug, Clone)]
pub struct Path {
    text: String,
    query: JsonPath,
    singular: bool,
}

/// Why a text is not a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathError {
    /// The path as written.
    pub text: String,
    /// Where it went wrong, in characters from 0; `None` when no single place is to blame.
    pub at: Option<usize>,
    /// What is wrong.
    pub problem: String,
    /// What to write instead, when that can be guessed.
    pub suggestion: Option<String>,
}

impl Path {
    /// Parses a path, which begins at `$`, the whole document.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let text = text.trim();
        match JsonPath::parse(text) {
            Ok(query) => Ok(Self { singular: is_singular(text), text: text.to_owned(), query }),
            Err(error) => Err(PathError::explain(text, error.position())),
        }
    }

    /// `$`, the whole document.
    pub fn root() -> Self {
        Self { text: "$".to_owned(), query: JsonPath::default(), singular: true }
    }

    /// The path as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the path can find one node at most: names and indices only. A kept value is then the value
    /// itself, otherwise the list of what was found.
    pub fn is_singular(&self) -> bool {
        self.singular
    }

    /// All nodes found, in document order.
    pub fn find<'v>(&self, document: &'v Value) -> Vec<&'v Value> {
        self.query.query(document).all()
    }

    /// All nodes found, each with its place below `base` (usually `$`), as `$.choices[0].message`.
    pub(crate) fn find_located<'v>(&self, document: &'v Value, base: &str) -> Vec<(String, &'v Value)> {
        let nodes = self.query.query_located(document).all();
        nodes.iter().map(|node| (readable(node.location(), base), node.node())).collect()
    }

    /// The path as written, below `base` instead of `$`.
    pub(crate) fn below(&self, base: &str) -> String {
        format!("{base}{}", self.text.strip_prefix('$').unwrap_or(&self.text))
    }

    /// Where a path that found nothing stops finding something, and what is there.
    pub(crate) fn where_it_ends(&self, document: &Value, base: &str) -> Option<String> {
        let mut starts = segment_starts(&self.text);
        let (prefix, node) = loop {
            let prefix = Self::parse(&self.text[..starts.pop()?]).ok()?;
            if let Some((place, node)) = prefix.find_located(document, base).into_iter().next() {
                break (place, node);
            }
        };
        Some(match node {
            Value::Object(map) if map.is_empty() => format!("{prefix} is an empty object"),
            Value::Object(map) => {
                let keys: Vec<_> = map.keys().take(20).map(String::as_str).collect();
                format!("{prefix} has the keys {}", keys.join(", "))
            }
            Value::Array(items) => format!("{prefix} is a list of length {}", items.len()),
            other => format!("{prefix} is {}", super::mismatch::show(other)),
        })
    }
}

impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Path {}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PathError {
    fn explain(text: &str, position: usize) -> Self {
        let error = |at, problem: &str, suggestion| Self {
            text: text.to_owned(),
            at,
            problem: problem.to_owned(),
            suggestion,
        };
        if text.is_empty() {
            return error(None, "the path is empty", Some("$".to_owned()));
        }
        if !text.starts_with('$') {
            let joint = if text.starts_with(['.', '[']) { "" } else { "." };
            let suggestion = format!("${joint}{text}");
            let suggestion = JsonPath::parse(&suggestion).ok().map(|_| suggestion);
            return error(Some(0), "a path begins with `$`, the whole document", suggestion);
        }
        // The parser counts from 1 and in bytes.
        let byte = position.saturating_sub(1).min(text.len());
        let at = text.char_indices().take_while(|(offset, _)| *offset < byte).count();
        let rest: String = text.chars().skip(at).take(12).collect();
        let problem = if rest.is_empty() {
            "the path ends too early".to_owned()
        } else {
            format!("the path cannot be read from `{rest}` on")
        };
        let quoted = text.split_once('.').and_then(|_| quote_odd_names(text));
        error(Some(at), &problem, quoted)
    }
}

/// Names such as `x-id` must be quoted in RFC 9535; people forget it.
fn quote_odd_names(text: &str) -> Option<String> {
    let mut out = String::from("$");
    for part in text.strip_prefix("$.")?.split('.') {
        let (name, rest) = part.split_at(part.find('[').unwrap_or(part.len()));
        match name {
            "" => return None,
            "*" => out.push_str(".*"),
            _ if is_plain_name(name) => write!(out, ".{name}").ok()?,
            _ if name.contains(['\'', '\\', '?', '(', '$']) => return None,
            _ => write!(out, "['{name}']").ok()?,
        }
        out.push_str(rest);
    }
    (out != text && JsonPath::parse(&out).is_ok()).then_some(out)
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a JSONPath: {}", self.text, self.problem)?;
        if let Some(at) = self.at.filter(|at| *at > 0) {
            write!(f, " (character {})", at + 1)?;
        }
        match &self.suggestion {
            Some(better) => write!(f, "; did you mean `{better}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for PathError {}

/// RFC 9535, 2.3.5.1: a singular query holds only name and index selectors, one per segment.
/// Expects a path that has been parsed already.
fn is_singular(text: &str) -> bool {
    let mut chars = text.chars().skip(1).peekable();
    while let Some(c) = chars.next() {
        match c {
            '[' => {
                let mut quote = None;
                let mut escaped = false;
                for c in chars.by_ref() {
                    match quote {
                        Some(_) if escaped => escaped = false,
                        Some(_) if c == '\\' => escaped = true,
                        Some(open) if c == open => quote = None,
                        Some(_) => {}
                        None if c == ']' => break,
                        None if c == '\'' || c == '"' => quote = Some(c),
                        None if matches!(c, '*' | '?' | ',' | ':') => return false,
                        None => {}
                    }
                }
            }
            '.' if matches!(chars.peek(), Some('.' | '*')) => return false,
            _ => {}
        }
    }
    true
}

/// Byte offsets at which the segments of a parsed path start: `$`, `.a`, `[0]`.
fn segment_starts(text: &str) -> Vec<usize> {
    let (mut starts, mut depth, mut quote, mut escaped) = (Vec::new(), 0_usize, None, false);
    for (offset, c) in text.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => {
                // In `..[0]` the bracket belongs to the dots.
                if depth == 0 && !text[..offset].ends_with("..") {
                    starts.push(offset);
                }
                depth += 1;
            }
            (None, ']') => depth = depth.saturating_sub(1),
            (None, '.') if depth == 0 && !text[..offset].ends_with('.') => starts.push(offset),
            (None, _) => {}
        }
    }
    starts
}

/// The place of a JSON pointer below `base`, as `$.a[0]`.
pub(super) fn pointer_below(base: &str, pointer: &str) -> String {
    let mut out = base.to_owned();
    for part in pointer.split('/').skip(1) {
        let name = part.replace("~1", "/").replace("~0", "~");
        if name.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() {
            out = format!("{out}[{name}]");
        } else if is_plain_name(&name) {
            out = format!("{out}.{name}");
        } else {
            out = format!("{out}['{name}']");
        }
    }
    out
}

fn is_plain_name(name: &str) -> bool {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii());
    first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii())
}

/// `$.choices[0]['x-id']` instead of the normalised `$['choices'][0]['x-id']`.
fn readable(location: &NormalizedPath<'_>, base: &str) -> String {
    let mut out = base.to_owned();
    for element in location.iter() {
        match element {
            PathElement::Name(name) if is_plain_name(name) => {
                out.push('.');
                out.push_str(name);
            }
            PathElement::Name(name) => {
                out.push_str("['");
                out.push_str(&name.replace('\\', "\\\\").replace('\'', "\\'"));
                out.push_str("']");
            }
            PathElement::Index(index) => {
                out.push('[');
                out.push_str(&index.to_string());
                out.push(']');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn knows_which_paths_find_one_node_at_most() {
        for one in ["$", "$.a", "$.a.b[0]", "$['a b'][-1]", "$[\"x,y\"].z", "$['a]*']", r"$['it\'s*']"] {
            assert!(Path::parse(one).unwrap().is_singular(), "{one}");
        }
        for many in ["$.*", "$..a", "$[*]", "$.a[0,1]", "$.a[1:]", "$[?@.a == 1].b", "$.a[?@['x']]"] {
            assert!(!Path::parse(many).unwrap().is_singular(), "{many}");
        }
    }

    #[test]
    fn errors_say_where_and_what_to_write() {
        let cases = [
            ("", "`` is not a JSONPath: the path is empty; did you mean `$`?"),
            (
                "choices[0]",
                "`choices[0]` is not a JSONPath: a path begins with `$`, the whole document; did you mean `$.choices[0]`?",
            ),
            (
                "[0]",
                "`[0]` is not a JSONPath: a path begins with `$`, the whole document; did you mean `$[0]`?",
            ),
        ];
        for (text, want) in cases {
            assert_eq!(Path::parse(text).unwrap_err().to_string(), want);
        }
        let dash = Path::parse("$.headers.x-id[0]").unwrap_err();
        assert_eq!(dash.suggestion.as_deref(), Some("$.headers['x-id'][0]"), "{dash}");
        for broken in ["$.a[", "$.a[0", "$.é[?", "$.a[?@.b = 1]", "$..", "$x"] {
            let error = Path::parse(broken).unwrap_err();
            assert!(error.at.is_some_and(|at| at <= broken.chars().count()), "{error:?}");
        }
    }

    #[test]
    fn locations_are_readable() {
        let document = json!({"a": [{"b": 1}, {"b": 2, "x-y": 3, "it's": 4}]});
        let all = Path::parse("$.a[1].*").unwrap().find_located(&document, "$");
        let places: Vec<_> = all.iter().map(|(place, _)| place.as_str()).collect();
        assert_eq!(places, ["$.a[1].b", "$.a[1]['x-y']", r"$.a[1]['it\'s']"]);
        assert_eq!(Path::root().find(&document), [&document]);
        assert_eq!(pointer_below("$.x", "/a/0/b~1c"), "$.x.a[0]['b/c']");
        assert_eq!(pointer_below("$", ""), "$");
    }

    #[test]
    fn a_path_that_finds_nothing_says_where_it_ends() {
        let document = json!({"a": [{"b": 1, "c": {}}], "d": "text"});
        let cases = [
            ("$.x", "$ has the keys a, d"),
            ("$.a[0].x.y", "$.a[0] has the keys b, c"),
            ("$.a[3].x", "$.a is a list of length 1"),
            ("$.a[0].c['x.y']", "$.a[0].c is an empty object"),
            ("$.d.x", "$.d is \"text\""),
            ("$.a..[7]", "$.a is a list of length 1"),
            ("$.a[?@.b == 2].c", "$.a is a list of length 1"),
        ];
        for (path, want) in cases {
            let path = Path::parse(path).unwrap();
            assert_eq!(path.where_it_ends(&document, "$").as_deref(), Some(want));
        }
    }

    proptest! {
        #[test]
        fn singular_paths_find_one_node_at_most_and_no_text_panics(
            text in prop_oneof![
                "\\$((\\.\\.?[ab*])|(\\[('a'|\"b]\"|-?[0-2]|\\*|0,1|[0-1]?:|[?]@.a)\\])){0,4}",
                "\\$?[a.\\[\\]'\"?@*,:é0 \\\\()=]{0,12}",
            ],
        ) {
            let leaf = json!({"a": 1, "b]": [1, 2], "b": [3]});
            let document = json!({"a": [leaf, leaf], "b": {"a": leaf, "b": [leaf]}, "b]": [[leaf]]});
            match Path::parse(&text) {
                Ok(path) => {
                    let found = path.find_located(&document, "$").len();
                    prop_assert!(!path.is_singular() || found <= 1, "{text} found {found}");
                    prop_assert!(found > 0 || path.where_it_ends(&document, "$").is_some(), "{text}");
                }
                Err(error) => prop_assert!(error.to_string().contains("is not a JSONPath")),
            }
        }
    }
}
