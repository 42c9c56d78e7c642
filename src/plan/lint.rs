//! What is wrong although every case could run: definitions that nothing uses, words that nothing answers to.
//!
//! Only `runner check` asks for this. Whether something is used is read off the text of its file: a name that does not
//! occur in it again is certainly unused, and a name that only seems to be used is let pass.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::params::Parameter;
use crate::schema::case::{Case, Row};
use crate::schema::step::Step;
use crate::schema::{CaseFile, Documents};
use crate::source::nearest::suggestion;
use crate::source::project::Folder;
use crate::source::{Located, Problem, Problems, Span};

/// Everything in a project's files that has no effect.
pub fn documents(documents: &Documents, parameters: &[Parameter], problems: &mut Problems) {
    for file in &documents.cases {
        anchors(file, problems);
        variables(file, problems);
        kept(file, problems);
        for (case, end) in file.cases_with_ends() {
            upstream(case, problems);
            rows(case, end, problems);
        }
    }
    suites(documents, problems);
    capabilities(documents, problems);
    defaults(documents, parameters, problems);
    for stack in &documents.stacks {
        for (name, wiring) in stack.providers.iter() {
            if wiring.url_env.is_none() && wiring.key_env.is_none() {
                let problem =
                    name.problem(format!("provider `{}` has neither `url_env` nor `key_env`", name.value));
                problems.push(problem.help("without one of them the runner cannot stand before it"));
            }
        }
    }
}

/// Ids of upstream's tests. Where a template stands for the test itself, it cannot be told.
fn upstream(case: &Case, problems: &mut Problems) {
    static FORM: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^[\w.-]+(/[\w.-]+)*\.py::\w+(::\w+)?(\[.+\])?$").ok());
    static HOLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\$\{\{.*?\}\}").ok());
    let (Some(id), Some(form), Some(hole)) = (&case.upstream, FORM.as_ref(), HOLE.as_ref()) else { return };
    let parameters = id.find('[').unwrap_or(id.len());
    let is_open = id.find("${{").is_some_and(|at| at < parameters);
    if !is_open && !form.is_match(&hole.replace_all(id, "x")) {
        let problem = id.problem(format!("`{}` is no id of a pytest test", id.value));
        problems.push(problem.help("write it as folder/test_file.py::test_name[parameters]"));
    }
}

/// How often a name stands in a text as a word of its own.
fn occurrences(text: &str, name: &str) -> usize {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let alone = |line: &str| {
        let whole =
            |at: usize| !line[..at].ends_with(is_word) && !line[at + name.len()..].starts_with(is_word);
        line.match_indices(name).filter(|(at, _)| whole(*at)).count()
    };
    text.lines().map(|line| alone(without_comment(line))).sum()
}

/// The line up to its comment; a `#` within quotes begins none.
fn without_comment(line: &str) -> &str {
    let outside = |before: &str| ['"', '\''].iter().all(|quote| before.matches(*quote).count() % 2 == 0);
    let begins = |at: &usize| (*at == 0 || line[..*at].ends_with(' ')) && outside(&line[..*at]);
    let comment = line.match_indices('#').map(|(at, _)| at).find(begins);
    &line[..comment.unwrap_or(line.len())]
}

fn text_of(span: &Span, end: usize) -> &str {
    let text = &span.file.text;
    text.get(span.start..end.min(text.len())).unwrap_or_default()
}

/// Pieces under `anchors` are there to be repeated.
fn anchors(file: &CaseFile, problems: &mut Problems) {
    let text = &file.span.file.text;
    let Some(crate::source::NodeValue::Map(pieces)) = file.anchors.as_ref().map(|node| &node.value) else {
        return;
    };
    for (key, value) in pieces {
        let between = text.get(key.span.end..value.span.start).unwrap_or_default();
        let name =
            between.split_once('&').map(|(_, rest)| rest.split_whitespace().next().unwrap_or_default());
        match name {
            // Of a list or mapping that holds anchors itself, any of these may be what is used.
            None if !text_of(&value.span, next_line_like(text, key)).contains('&') => {
                let problem =
                    key.problem(format!("`{}` has no anchor, so that nothing can repeat it", key.value));
                problems.push(problem.help(format!("write `{}: &name …`", key.value)));
            }
            Some(name) if !text.contains(&format!("*{name}")) => {
                problems.push(key.problem(format!("the anchor `{name}` is never used")));
            }
            _ => {}
        }
    }
}

/// Where the entry after `key` may begin: the next line that is indented as far as the key, or less.
fn next_line_like(text: &str, key: &Located<String>) -> usize {
    let column = key.span.line_column().1 - 1;
    let mut at = key.span.start;
    while let Some(offset) = text[at..].find('\n') {
        at += offset + 1;
        let line = text[at..].lines().next().unwrap_or_default();
        if !line.trim().is_empty() && line.len() - line.trim_start().len() <= column {
            return at;
        }
    }
    text.len()
}

fn variables(file: &CaseFile, problems: &mut Problems) {
    let text = &file.span.file.text;
    let own = file.cases.iter().flat_map(|case| case.vars.iter());
    for (name, _) in file.vars.iter().chain(own) {
        let defined = usize::from(file.vars.get(name).is_some())
            + file.cases.iter().filter(|case| case.vars.get(name).is_some()).count();
        if occurrences(text, name) <= defined {
            problems.push(name.problem(format!("the variable `{}` is never used", name.value)));
        }
    }
}

/// Values that are kept, also by steps that are written once and repeated by anchors.
fn kept(file: &CaseFile, problems: &mut Problems) {
    let mut names: Vec<&Located<String>> = Vec::new();
    let steps = file.cases.iter().flat_map(|case| case.steps.iter().chain(&case.cleanup));
    steps.for_each(|step| keeps(step, &mut names));
    names.sort_by_key(|name| name.span.start);
    names.dedup_by_key(|name| name.span.start);
    for name in &names {
        let kept = names.iter().filter(|other| other.value == name.value).count();
        if occurrences(&file.span.file.text, name) <= kept {
            let problem = name.problem(format!("`{}` is kept, but never used", name.value));
            problems
                .push(problem.help("to demand that something is there, use `exists: true` under `expect`"));
        }
    }
}

fn keeps<'s>(step: &'s Step, into: &mut Vec<&'s Located<String>>) {
    into.extend(step.options.keep.iter().map(|(name, _)| name));
    step.options.steps.iter().for_each(|inner| keeps(inner, into));
}

/// Fields of rows that nothing reads, and fields that are read but that no row has.
fn rows(case: &Case, end: usize, problems: &mut Problems) {
    static READ: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\brow\.([A-Za-z_]\w*)").ok());
    // Where the row is passed on as a whole, any of its fields may be read.
    static WHOLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\brow\b\s*[^.\w\s:]").ok());
    let Some(read) = READ.as_ref() else { return };
    let file_text = &case.span.file.text;
    let text = text_of(&case.span, end);
    let has = |field: &str| {
        let of = |row: &Row| row.fields.iter().any(|(name, _)| name.value == field);
        case.rows.iter().any(of)
    };
    for found in read.captures_iter(text) {
        let Some(field) = found.get(1) else { continue };
        let line = text[..field.start()].rsplit('\n').next().unwrap_or_default();
        if !has(field.as_str()) && !line.contains('#') {
            let start = case.span.start + field.start();
            let span = Span { start, end: start + field.len(), ..case.span.clone() };
            let what =
                if case.rows.is_empty() { "this case has no rows" } else { "no row of this case has it" };
            problems.push(Problem::new(format!("`row.{}`: {what}", field.as_str())).at(&span));
        }
    }
    if case.rows.is_empty() || WHOLE.as_ref().is_some_and(|form| form.is_match(file_text)) {
        return;
    }
    let fields_read: BTreeSet<&str> =
        read.captures_iter(file_text).filter_map(|found| Some(found.get(1)?.as_str())).collect();
    let mut seen: Vec<&str> = Vec::new();
    for (name, _) in case.rows.iter().flat_map(|row| &row.fields) {
        if !fields_read.contains(name.as_str()) && name.value != "id" && !seen.contains(&name.as_str()) {
            problems.push(name.problem(format!("the field `{}` of the rows is never used", name.value)));
        }
        seen.push(name);
    }
}

/// Roots that say the same twice.
fn suites(documents: &Documents, problems: &mut Problems) {
    for suite in &documents.suites {
        for (index, root) in suite.roots.iter().enumerate() {
            if let Some(first) = suite.roots[..index].iter().find(|earlier| earlier.value == root.value) {
                let problem = root.problem(format!("the root `{}` is written twice", root.value));
                problems.push(problem.label("again here").other(&first.span, "first here"));
            }
        }
    }
}

/// A capability that no setup lacks is lacked by none, also where a setup means the same by another word.
fn capabilities(documents: &Documents, problems: &mut Problems) {
    let lacked: Vec<&str> =
        documents.setups.iter().flat_map(|s| &s.lacks).map(|word| word.as_str()).collect();
    for word in documents.cases.iter().flat_map(|file| &file.cases).flat_map(|case| &case.requires) {
        if !lacked.contains(&word.as_str()) && !documents.may_be_in_broken(Folder::Setups, word) {
            let problem = word.problem(format!("no setup says that it lacks `{}`", word.value));
            problems.push(problem.help(suggestion(word, &lacked)));
        }
    }
}

/// Values for parameters that no case takes.
fn defaults(documents: &Documents, parameters: &[Parameter], problems: &mut Problems) {
    for (name, _) in documents.setups.iter().flat_map(|setup| setup.defaults.iter()) {
        let taken = parameters.iter().find(|parameter| parameter.name == name.value);
        let unused = taken.is_some_and(|parameter| parameter.cases == 0 && !parameter.is_upstreams());
        if unused && !documents.may_be_in_broken(Folder::TestCases, name) {
            let problem = name.problem(format!("no case takes the parameter `{}`", name.value));
            let known: Vec<&str> =
                parameters.iter().filter(|p| p.cases > 0).map(|p| p.name.as_str()).collect();
            problems.push(problem.help(suggestion(name, &known)));
        }
    }
}
