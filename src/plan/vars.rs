//! `vars`: values that refer to each other, put in order; a cycle is a problem.

use std::collections::BTreeSet;

use serde_json::Value;

use super::expression::Scope;
use super::template::{Placed, Template};
use crate::schema::decode::Table;
use crate::source::{Located, Node, Problem, Problems};

/// Variables of a case in an order in which each needs only earlier ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Vars {
    /// Known before anything runs.
    early: Vec<(Located<String>, Template)>,
    /// Those that need what a fixture gives.
    late: Vec<(Located<String>, Template)>,
    /// Those that need each other: they are defined, though they have no values.
    cyclic: Vec<Located<String>>,
}

/// Names of fixtures.
pub(super) struct FixtureNames {
    /// Those of this case.
    pub used: BTreeSet<String>,
    /// Those that other cases use: what a file says about them is not for this case.
    pub others: BTreeSet<String>,
}

impl Vars {
    /// The file's variables with the case's over them.
    pub(super) fn lower(
        file: &Table<Node>,
        case: &Table<Node>,
        fixtures: &FixtureNames,
        problems: &mut Problems,
    ) -> Self {
        let own = |name: &str| case.get(name).is_some();
        let all = file.iter().filter(|(name, _)| !own(name)).chain(case.iter());
        let mut waiting: Vec<(Located<String>, Template)> =
            all.map(|(name, node)| (name.clone(), Template::compile(node, problems))).collect();
        let mut ordered: Vec<(Located<String>, Template)> = Vec::new();
        let mut vars = Self::default();
        while !waiting.is_empty() {
            let open: BTreeSet<String> = waiting.iter().map(|(name, _)| name.value.clone()).collect();
            let (ready, rest): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|(_, template)| roots(template).is_disjoint(&open));
            if ready.is_empty() {
                problems.push(cycle(&rest));
                vars.cyclic = rest.into_iter().map(|(name, _)| name).collect();
                break;
            }
            ordered.extend(ready);
            waiting = rest;
        }
        let (mut late, mut others) = (fixtures.used.clone(), fixtures.others.clone());
        for (name, template) in ordered {
            let needs = roots(&template);
            if !needs.is_disjoint(&others) && !own(&name) {
                others.insert(name.value);
            } else if needs.is_disjoint(&late) {
                vars.early.push((name, template));
            } else {
                late.insert(name.value.clone());
                vars.late.push((name, template));
            }
        }
        vars
    }

    /// Variables that need what a fixture gives.
    pub(super) fn late(&self) -> impl Iterator<Item = &(Located<String>, Template)> {
        self.late.iter()
    }

    /// Those that are known before anything runs.
    pub(super) fn names(&self) -> impl Iterator<Item = &Located<String>> {
        self.early.iter().map(|(name, _)| name).chain(&self.cyclic)
    }

    /// All of them, those too that need what a fixture gives.
    pub(super) fn all_names(&self) -> impl Iterator<Item = &Located<String>> {
        self.early.iter().chain(&self.late).map(|(name, _)| name)
    }

    pub(super) fn templates(&self) -> impl Iterator<Item = &Template> {
        self.early.iter().chain(&self.late).map(|(_, template)| template)
    }

    /// Adds the values of those that are known before anything runs.
    pub(super) fn fill(&self, scope: &mut Scope, problems: &mut Problems) {
        for (name, template) in &self.early {
            let names_known = roots(template).iter().all(|root| scope.contains_key(root));
            match template.fill(scope) {
                Ok(value) => _ = scope.insert(name.value.clone(), value),
                Err(error) => {
                    // An unknown name has been reported already.
                    if names_known {
                        let message = format!("`{}`: {}", name.value, error.message);
                        problems.push(Problem::new(message).at(&error.span));
                    }
                    scope.insert(name.value.clone(), Value::Null);
                }
            }
        }
    }
}

fn roots(template: &Template) -> BTreeSet<String> {
    let mut found: Vec<&Placed> = Vec::new();
    template.expressions(&mut found);
    found.iter().flat_map(|placed| placed.expression.roots()).collect()
}

/// Follows references until a name comes again.
fn cycle(open: &[(Located<String>, Template)]) -> Problem {
    let mut path: Vec<&Located<String>> = vec![&open[0].0];
    loop {
        let last = path[path.len() - 1];
        let needs =
            open.iter().find(|(name, _)| name.value == last.value).map(|(_, t)| roots(t)).unwrap_or_default();
        let Some((next, _)) = open.iter().find(|(name, _)| needs.contains(&name.value)) else { break };
        if let Some(start) = path.iter().position(|name| name.value == next.value) {
            path.drain(..start);
            break;
        }
        path.push(next);
    }
    let names: Vec<&str> = path.iter().chain(path.first()).map(|name| name.value.as_str()).collect();
    path[0]
        .problem(format!("these variables need each other: {}", names.join(" → ")))
        .help("give one of them a value of its own")
}
