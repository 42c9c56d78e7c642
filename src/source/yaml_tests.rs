//! The reader of YAML held against an independent one: serde-saphyr, driven through serde with `Spanned` at every
//! node. Values, key order, duplicates and places are the same, and what one refuses the other refuses.

use std::sync::Arc;

use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_yaml::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_yaml::{Location, Spanned};

use super::{Located, Node, NodeValue, SourceFile, Span};

/// The other reader's tree.
enum Raw {
    Scalar(NodeValue),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RawVisitor;
        impl<'de> Visitor<'de> for RawVisitor {
            type Value = Raw;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a YAML value")
            }
            fn visit_unit<E>(self) -> Result<Raw, E> {
                Ok(Raw::Scalar(NodeValue::Null))
            }
            fn visit_bool<E>(self, v: bool) -> Result<Raw, E> {
                Ok(Raw::Scalar(NodeValue::Bool(v)))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Raw, E> {
                Ok(Raw::Scalar(NodeValue::Number(v.into())))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Raw, E> {
                Ok(Raw::Scalar(NodeValue::Number(v.into())))
            }
            fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<Raw, E> {
                let number = serde_json::Number::from_f64(v).ok_or_else(|| E::custom("not finite"))?;
                Ok(Raw::Scalar(NodeValue::Number(number)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Raw, E> {
                Ok(Raw::Scalar(NodeValue::Text(v.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Raw::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry::<Spanned<Raw>, Spanned<Raw>>()? {
                    if !matches!(pair.0.value, Raw::Scalar(_)) {
                        return Err(A::Error::custom("keys are scalars here"));
                    }
                    pairs.push(pair);
                }
                Ok(Raw::Map(pairs))
            }
        }
        deserializer.deserialize_any(RawVisitor)
    }
}

fn oracle(file: &Arc<SourceFile>) -> Result<Node, String> {
    let mut options = serde_yaml::options! { strict_booleans: true, with_snippet: false };
    options.duplicate_keys = DuplicateKeyPolicy::PassThrough;
    options.merge_keys = MergeKeyPolicy::Merge;
    serde_yaml::from_str_with_options::<Spanned<Raw>>(&file.text, options)
        .map(|raw| locate(raw, file))
        .map_err(|error| error.to_string())
}

fn locate(raw: Spanned<Raw>, file: &Arc<SourceFile>) -> Node {
    let span = span_of(raw.defined, file);
    let value = match raw.value {
        Raw::Scalar(value) => value,
        Raw::List(items) => NodeValue::List(items.into_iter().map(|item| locate(item, file)).collect()),
        Raw::Map(pairs) => NodeValue::Map(
            pairs.into_iter().map(|(key, value)| (key_of(locate(key, file)), locate(value, file))).collect(),
        ),
    };
    Node { value, span }
}

fn span_of(at: Location, file: &Arc<SourceFile>) -> Span {
    let number = |n: Option<_>| usize::try_from(n.unwrap_or_default()).unwrap();
    let start = number(at.span().byte_offset());
    Span { file: file.clone(), start, end: start + number(at.span().byte_len()) }
}

fn key_of(node: Node) -> Located<String> {
    let written = node.span.file.text[node.span.start..node.span.end].to_owned();
    let text = if let NodeValue::Text(text) = node.value { text } else { written };
    Located::new(text, node.span)
}

/// Both readers say the same of a text.
fn check(text: &str) -> Result<(), TestCaseError> {
    let file = SourceFile::inline("t.yaml", text);
    match (Node::parse(&file), oracle(&file)) {
        (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs, "{}", text),
        (Err(_), Err(_)) => {}
        // Refused on purpose: what no file here needs, and what the other reader passes over in silence.
        (Err(problem), Ok(_)) => prop_assert!(
            problem.message.contains("has no meaning here")
                || problem.message.contains("is not what the tag")
                // A merged value that the mapping overrides is never looked at there.
                || text.contains("<<") && problem.message.contains("must be finite"),
            "only refused here: {}\n{text}",
            problem.message
        ),
        (Ok(_), Err(message)) => prop_assert!(false, "only refused there: {message}\n{text}"),
    }
    Ok(())
}

/// A document as it is written down.
#[derive(Debug, Clone)]
enum Written {
    Scalar(&'static str),
    Block(&'static str),
    List { flow: bool, items: Vec<Written> },
    Map { flow: bool, pairs: Vec<(&'static str, Written)> },
    Anchored(u8, Box<Written>),
    Alias(u8),
}

const SCALARS: &[&str] = &[
    "a",
    "yes",
    "No",
    "~",
    "",
    "null",
    "true",
    "False",
    "0",
    "-1",
    "+7",
    "007",
    "0x1F",
    "-0o17",
    "0b2",
    "1_000",
    "1__0",
    "1.5",
    ".5",
    "5.",
    "-1e3",
    "1e999",
    ".inf",
    "-.INF",
    ".nan",
    "inf",
    "nan",
    "18446744073709551616",
    "-9223372036854775808",
    "v1.2",
    "2026-11-26",
    "é ü",
    "'it''s'",
    "\"q\\n\\u00e9 \\\"\"",
    "'${{ a }}'",
    "a b  c",
    "http://x/y",
    "!!str 5",
    "!!str ~",
    "! 5",
    "!!int 7",
    "!!float 1",
    "!!bool true",
    "!!null ~",
    "-",
    "a: b",
    "*x",
    "# c",
    "\"two\n      lines\"",
    "'é'",
    "日本",
    "<<",
];
const BLOCKS: &[&str] = &["|\n", "|-\n", ">\n", ">+\n", "|2\n"];
const KEYS: &[&str] = &["a", "b", "'c d'", "1", "true", "~", "é", "\"x\\ty\"", "<<", "? k", "!!str 2", "a"];

fn written() -> impl Strategy<Value = Written> {
    let leaf = prop_oneof![
        6 => proptest::sample::select(SCALARS).prop_map(Written::Scalar),
        1 => proptest::sample::select(BLOCKS).prop_map(Written::Block),
        1 => (0..3_u8).prop_map(Written::Alias),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        let key = proptest::sample::select(KEYS);
        prop_oneof![
            (any::<bool>(), prop::collection::vec(inner.clone(), 0..5))
                .prop_map(|(flow, items)| Written::List { flow, items }),
            (any::<bool>(), prop::collection::vec((key, inner.clone()), 0..5))
                .prop_map(|(flow, pairs)| Written::Map { flow, pairs }),
            (0..3_u8, inner).prop_map(|(name, node)| Written::Anchored(name, Box::new(node))),
        ]
    })
}

impl Written {
    /// Writes the node after `- ` or `key:`, `indent` being that of its own lines.
    fn write(&self, indent: usize, in_flow: bool, text: &mut String) {
        let line = |text: &mut String| text.push_str(&format!("\n{}", " ".repeat(indent)));
        match self {
            Self::Scalar(scalar) => text.push_str(scalar),
            Self::Block(_) if in_flow => text.push_str("block"),
            Self::Block(head) => {
                text.push_str(head);
                text.push_str(&format!("{0}  two\n\n{0}  lines", " ".repeat(indent)));
            }
            Self::Alias(name) => text.push_str(&format!("*n{name} ")),
            Self::Anchored(name, node) => {
                text.push_str(&format!("&n{name} "));
                node.write(indent, in_flow, text);
            }
            Self::List { flow, items } if *flow || in_flow || items.is_empty() => {
                text.push('[');
                for item in items {
                    item.write(indent, true, text);
                    text.push_str(", ");
                }
                text.push(']');
            }
            Self::List { items, .. } => {
                for item in items {
                    line(text);
                    text.push_str("- ");
                    item.write(indent + 2, false, text);
                }
            }
            Self::Map { flow, pairs } if *flow || in_flow || pairs.is_empty() => {
                text.push('{');
                for (key, value) in pairs {
                    text.push_str(&format!("{key}: "));
                    value.write(indent, true, text);
                    text.push_str(", ");
                }
                text.push('}');
            }
            Self::Map { pairs, .. } => {
                for (key, value) in pairs {
                    line(text);
                    text.push_str(&format!("{key}: "));
                    value.write(indent + 2, false, text);
                }
            }
        }
    }
}

/// One place of a text changed: a character taken away, doubled, or another one put in.
fn mangle(text: &str, place: usize, with: Option<char>) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let place = place % (chars.len() + 1);
    match with {
        Some(c) => chars.insert(place, c),
        None if place < chars.len() => _ = chars.remove(place),
        None => {}
    }
    chars.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_readers_agree(document in written(), place in any::<usize>(), with in proptest::option::of(proptest::sample::select(
        &[' ', '\n', '\t', ':', '-', '[', ']', '{', '}', ',', '\'', '"', '#', '&', '*', '|', '%', 'x', 'é'][..]))) {
        let mut text = String::new();
        document.write(0, false, &mut text);
        check(&text)?;
        check(&mangle(&text, place, with))?;
    }
}

#[test]
fn both_readers_agree_about_the_files_here() {
    let project = super::project::Project { root: env!("CARGO_MANIFEST_DIR").into() };
    use super::project::Folder;
    let mut seen = 0;
    for folder in [Folder::Suites, Folder::Setups, Folder::Stacks, Folder::TestCases, Folder::Expectations] {
        for path in project.files(folder).unwrap() {
            check(&std::fs::read_to_string(project.root.join(path)).unwrap()).unwrap();
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}

/// It says nothing about the file, and would be a surprise on the day the overriding key is removed.
#[test]
fn a_wrong_value_is_refused_also_where_it_is_overridden() {
    let text = "b: a\n<<:\n  b: 1e999\n";
    check(text).unwrap();
    assert_eq!(refused(text), "3:6 not valid YAML here: a number must be finite, and `1e999` is not");
}

fn refused(text: &str) -> String {
    let problem = Node::parse(&SourceFile::inline("t.yaml", text)).expect_err("is refused");
    let place = problem.span.map(|span| span.line_column()).expect("has a place");
    format!("{}:{} {}", place.0, place.1, problem.message)
}

#[test]
fn what_would_fill_the_memory_or_the_stack_is_refused() {
    let laughs: String =
        (1..12).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", "))).collect();
    assert_eq!(
        refused(&format!("a0: &a0 [lol, lol, lol]\n{laughs}")),
        "7:15 with its aliases followed, this file is larger than 64 MiB"
    );
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 70].join(", "));
    assert!(refused(&long).ends_with("with its aliases followed, this file is larger than 64 MiB"));
    assert_eq!(refused(&"[".repeat(20_000)), "1:256 more than 64 lists and mappings within each other");
    assert_eq!(
        refused(&format!("{}{}", "[".repeat(70), "]".repeat(70))),
        "1:65 more than 64 lists and mappings within each other"
    );
    let nested: String = (1..80).map(|n| format!("- &a{n} [*a{}]\n", n - 1)).collect();
    assert_eq!(
        refused(&format!("- &a0 x\n{nested}")),
        "65:9 more than 64 lists and mappings within each other"
    );
    assert_eq!(refused("a: &a [*a]\n"), "1:8 this alias is a part of what it stands for");
}

#[test]
fn what_has_no_meaning_is_refused_with_its_place() {
    assert_eq!(refused("a: .inf\n"), "1:4 not valid YAML here: a number must be finite, and `.inf` is not");
    assert_eq!(refused("a: !secret x\n"), "1:12 the tag `!secret` has no meaning here");
    assert_eq!(refused("a: !!set {x}\n"), "1:10 the tag `!!set` has no meaning here");
    assert_eq!(refused("a: !!int x\n"), "1:10 `x` is not what the tag `!!int` says");
    assert_eq!(refused("a: 1\n---\nb: 2\n"), "2:1 a second document begins here");
    assert_eq!(refused("a: [*gone-by]\n"), "1:5 there is no anchor `gone-by` before this");
    assert_eq!(refused("? [a]\n: 1\n"), "1:3 a key is text, not a list or a mapping");
    assert_eq!(refused("a: {<<: 7}\n"), "1:9 `<<` takes a mapping or a list of mappings, found a number");
}

#[test]
fn merged_entries_come_after_a_mappings_own_and_never_hide_them() {
    let node = Node::parse(&SourceFile::inline(
        "t.yaml",
        "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2, <<: *x}\nz: {c: 3, <<: [*y, {d: 4}], e: 5}\n",
    ));
    let z = node.expect("parses").to_json()["z"].to_string();
    assert_eq!(z, r#"{"c":3,"e":5,"b":2,"a":1,"d":4}"#);
}
