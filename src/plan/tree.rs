//! What is wrong in the documents as a whole, whatever is selected.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::build::file_id;
use super::lower::check_names;
use super::params::Parameter;
use super::select::{Candidate, Selector};
use super::template::Template;
use crate::schema::case::Case;
use crate::schema::{CaseFile, Documents, StackDefinition};
use crate::source::nearest::{nearest, suggestion};
use crate::source::project::Folder;
use crate::source::{Located, Problem, Problems, Span};

/// What the command of a stack may refer to.
const STACK_NAMES: [&str; 4] = ["config", "port", "runner", "state_dir"];

/// The setups and roots of every suite exist.
pub(super) fn suites(documents: &Documents, problems: &mut Problems) {
    let setups: Vec<&str> = documents.setups.iter().map(|setup| setup.name.as_str()).collect();
    for suite in &documents.suites {
        if let Some(name) = suite.default_setup.as_ref().filter(|name| !setups.contains(&name.as_str()))
            && !documents.may_be_in_broken(Folder::Setups, name)
        {
            let problem = name.problem(format!("there is no setup `{}`", name.value));
            problems.push(problem.help(suggestion(name, &setups)));
        }
        for root in &suite.roots {
            match Selector::parse(root) {
                Err(message) => problems.push(root.problem(message)),
                Ok(selector) if !matches_any(&selector, documents) => {
                    problems.push(unmatched(&selector, documents).at(&root.span));
                }
                Ok(_) => {}
            }
        }
        // What is left out need not be there.
        for root in &suite.exclude {
            if let Err(message) = Selector::parse(root) {
                problems.push(root.problem(message));
            }
        }
    }
}

/// Parameters that cases take are declared.
pub(super) fn params(documents: &Documents, parameters: &[&Parameter], problems: &mut Problems) {
    let known: Vec<&str> =
        parameters.iter().filter(|parameter| parameter.is_declared()).map(|p| p.name.as_str()).collect();
    let taken = documents.cases.iter().flat_map(|file| &file.cases).flat_map(|case| &case.params);
    let is_known = |param: &str| known.contains(&param) || documents.may_be_in_broken(Folder::Setups, param);
    for param in taken.filter(|param| !is_known(param)) {
        let help = nearest(param, known.iter().copied()).map_or_else(
            || "a new parameter is declared by a setup that gives it a value under `defaults`".to_owned(),
            |name| format!("did you mean `{name}`?"),
        );
        problems.push(param.problem(format!("unknown parameter `{}`", param.value)).help(help));
    }
}

fn matches_any(selector: &Selector, documents: &Documents) -> bool {
    documents.cases.iter().any(|file| {
        let path = file_id(&file.span);
        file.cases.iter().any(|case| selector.matches(Candidate { file: &path, case: &case.name }))
    }) || documents.broken(Folder::TestCases).any(|broken| {
        // A folder that cannot be read may hold anything.
        let place = Span { file: broken.file.clone(), start: 0, end: 0 };
        broken.file.path == Path::new(Folder::TestCases.name()) || selector.may_match_in(&file_id(&place))
    })
}

/// A selector for which there is no case, with the nearest thing there is.
pub(super) fn unmatched(selector: &Selector, documents: &Documents) -> Problem {
    let mut known: Vec<String> = Vec::new();
    for file in &documents.cases {
        let path = file_id(&file.span);
        known.extend(path.match_indices('/').map(|(at, _)| path[..at].to_owned()));
        known.extend(file.cases.iter().map(|case| format!("{path}::{}", case.name.value)));
        known.push(path);
    }
    known.sort();
    known.dedup();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let help = match nearest(selector.written(), known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => "`runner --list` shows what there is".to_owned(),
    };
    Problem::new(format!("no case matches `{}`", selector.written())).help(help)
}

/// Commands and readiness paths of stacks, used or not.
pub(super) fn stacks(stacks: &[StackDefinition], problems: &mut Problems) {
    let names: BTreeSet<String> = STACK_NAMES.iter().map(|name| (*name).to_owned()).collect();
    for stack in stacks {
        if stack.launch.is_empty() {
            problems.push(
                Problem::new("`launch` is empty").at(&stack.span).help("give a program and its arguments"),
            );
        }
        for part in &stack.launch {
            check_names(&Template::text(part, &part.span, problems), &names, problems);
        }
        for (name, value) in stack.env.iter() {
            check_names(&Template::text(&value.0, &name.span, problems), &names, problems);
        }
        let path = &stack.ready.get;
        if !path.starts_with('/') {
            problems.push(path.problem("a path begins with `/`").help(format!("write `/{}`", path.value)));
        }
    }
}

/// Names of cases and rows, and cases that could never fail.
pub(super) fn cases(file: &CaseFile, documents: &Documents, problems: &mut Problems) {
    let mut names: BTreeMap<&str, &Located<String>> = BTreeMap::new();
    for case in &file.cases {
        match names.insert(&case.name.value, &case.name) {
            Some(first) => problems.push(
                case.name
                    .problem(format!(
                        "two cases are named `{}`: their trials would have the same ids",
                        case.name.value
                    ))
                    .label("again here")
                    .other(&first.span, "first here"),
            ),
            None => continue,
        }
    }
    for case in &file.cases {
        let mut rows: BTreeMap<&str, &Located<String>> = BTreeMap::new();
        for row in &case.rows {
            if let Some(first) = rows.insert(&row.id.value, &row.id) {
                let problem = row.id.problem(format!("two rows have the id `{}`", row.id.value));
                problems.push(problem.label("again here").other(&first.span, "first here"));
            }
        }
    }
    for (case, end) in file.cases_with_ends() {
        // A check that could not be read is missing, though it is written.
        one_case(case, documents.is_whole(&case.span, end), problems);
    }
}

fn one_case(case: &Case, complete: bool, problems: &mut Problems) {
    let name = case.name.as_str();
    if name.trim().is_empty() || name.contains("::") || name.contains(['[', ']', '\n']) {
        let problem = case.name.problem(format!("`{name}` cannot name a case"));
        problems.push(
            problem.help(
                "ids are `path::name[…]`: a name has no `::`, brackets or line breaks, and is not empty",
            ),
        );
    }
    if case.steps.is_empty() {
        let problem = case.name.problem("this case has no steps, so it would always pass");
        problems.push(problem.help("give it `steps`, such as `- get: /v1/models`"));
    } else if complete
        && case.steps.iter().all(|step| step.options.expect.is_empty() && step.options.keep.0.is_empty())
    {
        let problem = case.name.problem("no step of this case expects anything, so it would always pass");
        problems.push(problem.help("give a step `expect`, such as `expect: [{status: 200}]`"));
    }
}
