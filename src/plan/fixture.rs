//! Fixtures, from what is written to what a run makes: which ones a case uses, in an order in which each needs only
//! earlier ones, and what each is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::build::trial_hash;
use super::expression::Scope;
use super::lower;
use super::trial::StepPlan;
use crate::mcp;
use crate::schema::fixture::{Fixture, FixtureFile, FixtureScope, Mcp, McpTransport, ToolSet};
use crate::schema::step::Step;
use crate::source::{Located, Problems, Span};

/// What templates of a fixture know that lives longer than a trial, besides what it keeps and what it uses.
const KNOWN: [&str; 5] = ["env", "fixture", "lacks", "models", "setup"];
/// What templates know of an MCP server.
const SERVER_MEMBERS: [&str; 4] = ["headers", "token", "tools", "url"];

/// A fixture, lowered.
#[derive(Debug, Clone)]
pub struct FixturePlan {
    /// The same for all trials that share it, and nobody else's.
    pub id: String,
    /// What templates call it.
    pub name: String,
    pub scope: FixtureScope,
    pub span: Span,
    /// Names of the fixtures whose values it knows.
    pub uses: Vec<String>,
    pub kind: FixtureKind,
    pub timeout: Option<Duration>,
    /// What its templates know from the start; for one that lives as long as a trial, the trial's own scope counts.
    pub values: Scope,
    members: Vec<String>,
}

/// What making it means.
#[derive(Debug, Clone)]
pub enum FixtureKind {
    Mcp(mcp::ServerSpec),
    Steps { steps: Vec<StepPlan>, cleanup: Vec<StepPlan> },
}

impl FixturePlan {
    /// What templates may ask of it, as `url` in `${{ server.url }}`.
    pub fn members(&self) -> &[String] {
        &self.members
    }

    /// What templates know of an MCP server that has started.
    pub fn mcp_value(&self, server: &mcp::Server) -> Value {
        let token = match &self.kind {
            FixtureKind::Mcp(spec) => spec.token.clone(),
            FixtureKind::Steps { .. } => None,
        };
        let headers = token
            .as_ref()
            .map_or_else(|| json!({}), |token| json!({"Authorization": format!("Bearer {token}")}));
        json!({"url": server.url, "token": token, "headers": headers, "tools": server.tools})
    }

    /// Whether it is an MCP server.
    pub fn is_server(&self) -> bool {
        matches!(self.kind, FixtureKind::Mcp(_))
    }

    /// As [`super::trial::CasePlan::watches_provider`].
    pub(super) fn watches_provider(&self) -> bool {
        match &self.kind {
            FixtureKind::Mcp(_) => false,
            FixtureKind::Steps { steps, .. } => steps.iter().any(StepPlan::watches_provider),
        }
    }
}

/// What templates know as `fixture`.
pub fn identity(id: &str) -> Value {
    json!({"id": id, "hash": trial_hash(id)})
}

/// A fixture where it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written<'a> {
    pub name: &'a Located<String>,
    pub fixture: &'a Fixture,
    /// Whether every file may use it.
    pub is_everyones: bool,
}

impl Written<'_> {
    pub(super) fn scope(&self) -> FixtureScope {
        self.fixture.scope.as_ref().map(|scope| scope.value).unwrap_or_default()
    }
}

/// The fixtures that a file of cases may use.
#[derive(Debug, Clone)]
pub(super) struct Visible<'a>(pub Vec<Written<'a>>);

impl<'a> Visible<'a> {
    /// The file's own, then those of `fixtures/`.
    pub(super) fn new(own: &'a [(Located<String>, Fixture)], everyones: &'a [FixtureFile]) -> Self {
        let written = |is_everyones: bool| {
            move |(name, fixture): &'a (Located<String>, Fixture)| Written { name, fixture, is_everyones }
        };
        let everyones = everyones.iter().flat_map(|file| &file.fixtures.0).map(written(true));
        Self(own.iter().map(written(false)).chain(everyones).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<Written<'a>> {
        self.0.iter().find(|written| written.name.value == name).copied()
    }

    pub(super) fn names(&self) -> Vec<&'a str> {
        self.0.iter().map(|written| written.name.as_str()).collect()
    }

    /// All that these need, each after what it needs itself. Unknown names and cycles are reported elsewhere.
    pub(super) fn in_order(&self, uses: &[Located<String>]) -> Vec<Written<'a>> {
        let mut ordered = Vec::new();
        let mut open = BTreeSet::new();
        uses.iter().for_each(|name| self.visit(name, &mut open, &mut ordered));
        ordered
    }

    fn visit(&self, name: &str, open: &mut BTreeSet<String>, ordered: &mut Vec<Written<'a>>) {
        let Some(written) = self.get(name) else { return };
        if open.insert(name.to_owned()) {
            written.fixture.uses.iter().for_each(|needed| self.visit(needed, open, ordered));
            ordered.push(written);
        }
    }
}

/// Lowers fixtures, those that are shared only once.
#[derive(Debug)]
pub(super) struct Lowering<'r> {
    /// What every fixture knows of the run.
    run: &'r Scope,
    shared: Mutex<BTreeMap<String, Arc<FixturePlan>>>,
}

impl<'r> Lowering<'r> {
    pub(super) fn new(run: &'r Scope) -> Self {
        Self { run, shared: Mutex::default() }
    }

    /// The fixtures of one case of a file; `names` are those that its trials know before anything ran.
    pub(super) fn of_case(
        &self,
        file: &str,
        written: &[Written<'_>],
        names: &BTreeSet<String>,
        problems: &mut Problems,
    ) -> Vec<Arc<FixturePlan>> {
        let mut plans: Vec<Arc<FixturePlan>> = Vec::new();
        if written.is_empty() {
            return plans;
        }
        // Held throughout: two cases never lower the same fixture.
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for one in written {
            let scope = one.scope();
            let id = match scope {
                FixtureScope::Run => format!("fixture {}", one.name.value),
                FixtureScope::Trial | FixtureScope::File => format!("{file}::fixture {}", one.name.value),
            };
            let plan = match shared.get(&id) {
                Some(plan) if scope != FixtureScope::Trial => plan.clone(),
                _ => {
                    let plan = Arc::new(self.lower(&id, *one, &plans, names, problems));
                    if scope != FixtureScope::Trial {
                        shared.insert(id, plan.clone());
                    }
                    plan
                }
            };
            plans.push(plan);
        }
        plans
    }

    fn lower(
        &self,
        id: &str,
        written: Written<'_>,
        earlier: &[Arc<FixturePlan>],
        names: &BTreeSet<String>,
        problems: &mut Problems,
    ) -> FixturePlan {
        let fixture = written.fixture;
        let used: Vec<Arc<FixturePlan>> = earlier
            .iter()
            .filter(|plan| fixture.uses.iter().any(|name| name.value == plan.name))
            .cloned()
            .collect();
        let mut known: BTreeSet<String> = KNOWN.iter().map(|name| (*name).to_owned()).collect();
        if written.scope() == FixtureScope::Trial {
            known.extend(names.iter().cloned());
        }
        known.extend(used.iter().map(|plan| plan.name.clone()));
        let (kind, members) = match &fixture.mcp {
            Some(server) => (
                FixtureKind::Mcp(spec(server)),
                SERVER_MEMBERS.iter().map(|name| (*name).to_owned()).collect(),
            ),
            None => {
                let [steps, cleanup] =
                    lower::stages([&fixture.steps, &fixture.cleanup], &known, &used, problems);
                let mut kept = Vec::new();
                kept_by(&fixture.steps, &mut kept);
                (FixtureKind::Steps { steps, cleanup }, kept)
            }
        };
        let mut values = self.run.clone();
        values.insert("fixture".to_owned(), identity(id));
        FixturePlan {
            id: id.to_owned(),
            name: written.name.value.clone(),
            scope: written.scope(),
            span: written.name.span.clone(),
            uses: fixture.uses.iter().map(|name| name.value.clone()).collect(),
            kind,
            timeout: fixture.timeout,
            values,
            members,
        }
    }
}

fn kept_by(steps: &[Step], into: &mut Vec<String>) {
    for step in steps {
        into.extend(step.options.keep.iter().map(|(name, _)| name.value.clone()));
        // What the steps inside a loop keep is known in its round alone.
        if step.options.for_each.0.is_empty() {
            kept_by(&step.options.steps, into);
        }
    }
}

fn spec(server: &Mcp) -> mcp::ServerSpec {
    let transport = server.transport.as_ref().map(|transport| transport.value).unwrap_or_default();
    mcp::ServerSpec {
        tools: match server.tools.value {
            ToolSet::Default => mcp::ToolSet::Default,
            ToolSet::Dependency => mcp::ToolSet::Dependency,
            ToolSet::Schemas => mcp::ToolSet::Schemas,
            ToolSet::Outputs => mcp::ToolSet::Outputs,
        },
        transport: match transport {
            McpTransport::StreamableHttp => mcp::Transport::StreamableHttp,
            McpTransport::Sse => mcp::Transport::Sse,
        },
        token: server.token.as_ref().map(|token| token.value.clone()),
    }
}
