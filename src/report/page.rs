//! The run as one HTML file: the events' JSON, and a page that draws itself from it. It needs no server, no network and
//! nothing beside itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::history::{History, Occasion};
use super::jsonl;
use crate::exec::event::{RunInfo, Summary, TrialReport};

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
/// In the order in which they use each other.
const SCRIPTS: [&str; 7] = [
    include_str!("page/dom.js"),
    include_str!("page/model.js"),
    include_str!("page/waterfall.js"),
    include_str!("page/detail.js"),
    include_str!("page/views.js"),
    include_str!("page/figures.js"),
    include_str!("page/main.js"),
];

/// Earlier results, and on which occasion they count.
#[derive(Debug, Clone, Copy)]
pub struct Past<'a> {
    pub history: &'a History,
    pub occasion: &'a Occasion,
}

/// The whole file. `past` includes this run already.
pub fn render(info: &RunInfo, trials: &[TrialReport], summary: &Summary, past: Option<Past<'_>>) -> String {
    let script = format!("(() => {{\n\"use strict\";\n{}}})();\n", SCRIPTS.concat());
    let data = json!({
        "run": jsonl::run_started(info),
        "trials": trials.iter().map(jsonl::trial_finished).collect::<Vec<_>>(),
        "end": jsonl::run_finished(summary),
        "history": past.map(|past| earlier(past, trials)).unwrap_or_default(),
    });
    filled(PAGE, |name| match name {
        "title" => escaped(&title(info, summary)),
        // Nothing is loaded and no other script runs, even if one got into the page.
        "policy" => format!(
            "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
            hash(STYLE),
            hash(&script)
        ),
        "style" => STYLE.to_owned(),
        "script" => script.clone(),
        "data" => in_script(&data),
        "tool" => concat!("runner ", env!("CARGO_PKG_VERSION")).to_owned(),
        _ => String::new(),
    })
}

/// How the trials ended before, by their ids.
fn earlier(past: Past<'_>, trials: &[TrialReport]) -> Map<String, Value> {
    let results = |trial: &TrialReport| {
        let results = past.history.of(&trial.trial, past.occasion).map(|result| {
            json!({"at": result.at, "outcome": result.outcome, "attempts": result.attempts, "seconds": result.seconds})
        });
        (trial.trial.clone(), results.collect::<Value>())
    };
    trials.iter().map(results).collect()
}

/// `base with ollama: 3 passed, 0 failed`.
fn title(info: &RunInfo, summary: &Summary) -> String {
    let suite = info.suite.as_deref().unwrap_or("all cases");
    let setup = info.setup.as_ref().map(|setup| format!(" with {setup}")).unwrap_or_default();
    format!("{suite}{setup}: {}", summary.line())
}

/// The template with every `{{name}}` replaced; what is put in is not looked at again.
fn filled(template: &str, mut value: impl FnMut(&str) -> String) -> String {
    let mut parts = template.split("{{");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
        out.push_str(&value(name));
        out.push_str(rest);
    }
    out
}

/// JSON that can stand in a script element: with no `<` it cannot hold a tag or a comment. In JSON one is always inside
/// of a string, where its escape means the same.
fn in_script(data: &Value) -> String {
    data.to_string().replace('<', "\\u003c")
}

/// Text that can stand between tags or in a quoted attribute.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// As a content security policy names what may be used.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::event::{Failure, FailureKind, Outcome};

    /// A page about one trial of this id and title of its failure.
    fn page(id: &str, title: &str) -> String {
        let failure = Failure::new(FailureKind::Mismatch, title);
        let trial = TrialReport::ended(id, Outcome::Failed(vec![failure]));
        let mut summary = Summary::default();
        summary.count(&trial);
        let info = RunInfo { suite: Some(id.to_owned()), ..RunInfo::default() };
        render(&info, &[trial], &summary, None)
    }

    /// What the page's script reads.
    fn data(page: &str) -> Value {
        let (_, rest) = page.split_once(r#"<script type="application/json" id="data">"#).unwrap();
        serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
    }

    #[test]
    fn no_text_ends_an_element() {
        let plain = page("a::x", "differs");
        let count = |page: &str, what: &str| page.matches(what).count();
        for nasty in [
            "</script><script>alert(1)</script>",
            "<!--<script>",
            "</title></style>{{script}}",
            "\u{2028}\"'&amp;]]>",
        ] {
            let page = page(nasty, nasty);
            for tag in ["<script", "</script", "<style", "</style", "<title", "</title", "<!--"] {
                assert_eq!(count(&page, tag), count(&plain, tag), "{tag} in a page about {nasty}");
            }
            let data = data(&page);
            assert_eq!(data["trials"][0]["id"], nasty);
            assert_eq!(data["trials"][0]["failures"][0]["title"], nasty);
            assert_eq!(data["run"]["suite"], nasty);
        }
    }

    #[test]
    fn scripts_and_styles_can_stand_in_their_elements() {
        for script in SCRIPTS {
            assert!(
                !script.contains("</") && !script.contains("<!--") && !script.contains("innerHTML"),
                "{script}"
            );
        }
        assert!(!STYLE.contains("</") && !STYLE.contains("url(") && !STYLE.contains("@import"));
    }

    #[test]
    fn the_policy_names_what_is_in_the_page_and_nothing_else() {
        let page = page("a::x", "differs");
        let between = |start: &str, end: &str| page.split_once(start).unwrap().1.split_once(end).unwrap().0;
        let (style, script) = (between("<style>", "</style>"), between("<script>", "</script>"));
        assert_eq!(
            between("Content-Security-Policy\" content=\"", "\""),
            format!(
                "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
                hash(style),
                hash(script)
            )
        );
        // SVG's namespace is a name and no address.
        let rest = page.replace("http://www.w3.org/2000/svg", "");
        assert!(
            !rest.contains("{{") && !rest.contains("http:") && !rest.contains("https:"),
            "a page that needs nothing"
        );
    }
}
