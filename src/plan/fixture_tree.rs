//! What is wrong in fixtures as they are written, whatever is selected.

use std::collections::BTreeSet;

use super::fixture::{Visible, Written};
use super::lower::BUILT_IN;
use crate::schema::fixture::{Fixture, FixtureScope};
use crate::schema::{CaseFile, Documents};
use crate::source::nearest::suggestion;
use crate::source::project::Folder;
use crate::source::{Located, Problem, Problems};

/// Everything that can be said of fixtures and of the cases that use them.
pub(super) fn fixtures(documents: &Documents, problems: &mut Problems) {
    let complete = documents.is_complete(Folder::Fixtures);
    let everyones = Visible::new(&[], &documents.fixtures);
    duplicates(&everyones.0, problems);
    everyones.0.iter().for_each(|written| one(*written, &everyones, complete, problems));
    let mut used = BTreeSet::new();
    mark_used(&everyones.0, &[], &mut used);
    for file in &documents.cases {
        let visible = Visible::new(&file.fixtures.0, &documents.fixtures);
        duplicates(&visible.0, problems);
        let own: Vec<Written<'_>> =
            visible.0.iter().filter(|written| !written.is_everyones).copied().collect();
        own.iter().for_each(|written| one(*written, &visible, complete, problems));
        file.cases.iter().for_each(|case| known(&case.uses, &visible, complete, problems));
        let mut used_here = BTreeSet::new();
        mark_used(&own, std::slice::from_ref(file), &mut used_here);
        if documents.is_complete(Folder::TestCases) {
            unused(&own, &used_here, "no case or fixture of this file uses it", problems);
        }
        used.extend(used_here);
    }
    if complete && documents.is_complete(Folder::TestCases) {
        unused(&everyones.0, &used, "no case uses it", problems);
    }
}

fn mark_used(fixtures: &[Written<'_>], files: &[CaseFile], used: &mut BTreeSet<String>) {
    let by_fixtures = fixtures.iter().flat_map(|written| &written.fixture.uses);
    let by_cases = files.iter().flat_map(|file| &file.cases).flat_map(|case| &case.uses);
    used.extend(by_fixtures.chain(by_cases).map(|name| name.value.clone()));
}

fn unused(fixtures: &[Written<'_>], used: &BTreeSet<String>, why: &str, problems: &mut Problems) {
    for written in fixtures.iter().filter(|written| !used.contains(&written.name.value)) {
        let problem =
            written.name.problem(format!("the fixture `{}` is never made: {why}", written.name.value));
        problems.push(
            problem.help(format!("name it under `uses: [{}]` of a case, or remove it", written.name.value)),
        );
    }
}

/// A name must mean one thing; `fixtures` may begin with a file's own.
fn duplicates(fixtures: &[Written<'_>], problems: &mut Problems) {
    for (index, written) in fixtures.iter().enumerate() {
        // Twice in one mapping has been reported by its reader.
        let same = |earlier: &&Written<'_>| {
            earlier.name.value == written.name.value && earlier.name.span.file != written.name.span.file
        };
        if let Some(first) = fixtures[..index].iter().find(same) {
            let problem = first.name.problem(format!("two fixtures are named `{}`", written.name.value));
            problems.push(problem.label("this one").other(&written.name.span, "and this one"));
        }
    }
}

fn one(written: Written<'_>, visible: &Visible<'_>, complete: bool, problems: &mut Problems) {
    let Written { name, fixture, is_everyones } = written;
    if !is_variable(name) || BUILT_IN.contains(&name.as_str()) || name.as_str() == "fixture" {
        let problem = name.problem(format!("`{}` cannot name a fixture", name.value));
        problems.push(
            problem.help("templates use the name: letters, digits and `_`, and none that they know already"),
        );
    }
    kind(name, fixture, problems);
    if let Some(scope) =
        fixture.scope.as_ref().filter(|scope| !is_everyones && scope.value == FixtureScope::Run)
    {
        let problem = scope.problem("a fixture of one file lives as long as its file at most");
        problems.push(
            problem.help("write `scope: file`, or move it below fixtures/, where every file may use it"),
        );
    }
    known(&fixture.uses, visible, complete, problems);
    for used in &fixture.uses {
        let Some(other) = visible.get(used) else { continue };
        if other.scope() < written.scope() {
            let (own, shorter) = (written.scope().word(), other.scope().word());
            let problem = used.problem(format!("a fixture for the {own} cannot use one for the {shorter}"));
            problems.push(problem.other(&other.name.span, format!("this lives as long as a {shorter}")));
        }
        if leads_to(other, name, visible, &mut BTreeSet::new()) {
            let problem = used.problem(format!("`{}` and `{}` need each other", name.value, used.value));
            problems.push(problem.help("a fixture is made after those that it uses"));
        }
    }
}

fn kind(name: &Located<String>, fixture: &Fixture, problems: &mut Problems) {
    match &fixture.mcp {
        None if fixture.steps.is_empty() => {
            let problem = name.problem(format!("the fixture `{}` makes nothing", name.value));
            problems.push(problem.help("give it `steps`, or `mcp: {tools: default}`"));
        }
        Some(server) if !(fixture.steps.is_empty() && fixture.cleanup.is_empty()) => {
            let problem = Problem::new("a fixture is an MCP server or has steps, not both").at(&server.span);
            problems.push(problem.help("move the steps to a fixture that uses this one"));
        }
        _ => {}
    }
}

fn known(uses: &[Located<String>], visible: &Visible<'_>, complete: bool, problems: &mut Problems) {
    for name in uses.iter().filter(|name| complete && visible.get(name).is_none()) {
        let problem = name.problem(format!("there is no fixture `{}`", name.value));
        let names = visible.names();
        let help = if names.is_empty() {
            "fixtures stand under `fixtures` of this file, or below fixtures/".to_owned()
        } else {
            suggestion(name, &names)
        };
        problems.push(problem.help(help));
    }
}

fn leads_to(from: Written<'_>, goal: &str, visible: &Visible<'_>, seen: &mut BTreeSet<String>) -> bool {
    if from.name.value == goal {
        return true;
    }
    seen.insert(from.name.value.clone())
        && from
            .fixture
            .uses
            .iter()
            .filter_map(|name| visible.get(name))
            .any(|next| leads_to(next, goal, visible, seen))
}

fn is_variable(name: &str) -> bool {
    name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
