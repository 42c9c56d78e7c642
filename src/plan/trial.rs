//! What is left to run: trials, and the steps they share with the other trials of their case.

use std::sync::Arc;
use std::time::Duration;

use super::expression::Scope;
use super::fixture::FixturePlan;
use super::template::Template;
use crate::check::{Check, Keep};
use crate::record::Fault;
use crate::schema::case::{Client, TargetKind};
use crate::schema::check::FileForm;
use crate::schema::step::PollTimeout;
use crate::source::{Located, Span};

/// One trial: a case with one value for each of its axes.
#[derive(Debug, Clone)]
pub struct TrialPlan {
    /// `path::name[…]`; unique in a plan and stable.
    pub id: String,
    /// Which of several runs of this trial it is, from 1.
    pub round: u32,
    pub case: Arc<CasePlan>,
    pub client: Option<Client>,
    /// What its id says in brackets: `client`, the prefix of each parameter, `row`.
    pub axes: Vec<(String, String)>,
    /// Every name that templates may use before the first step ran.
    pub scope: Scope,
    /// Upstream's test id, parameters filled in.
    pub upstream: Option<String>,
    /// Why it is skipped, as far as that is known without a stack.
    pub skip: Option<String>,
    /// What lists of known failures say about it.
    pub xfail: Vec<RulePlan>,
    /// Why its failures do not count.
    pub quarantine: Vec<RulePlan>,
}

impl TrialPlan {
    /// The id in reports: `id#2` for the second of several runs.
    pub fn shown_id(&self) -> String {
        if self.round > 1 { format!("{}#{}", self.id, self.round) } else { self.id.clone() }
    }
}

/// A case, lowered.
#[derive(Debug, Clone)]
pub struct CasePlan {
    /// Below `test_cases/`, without the extension.
    pub file: String,
    pub name: String,
    pub description: Option<String>,
    pub span: Span,
    pub skip: Vec<RulePlan>,
    pub xfail: Vec<RulePlan>,
    pub timeout: Option<Duration>,
    /// What is made before the first step, each after what it needs itself.
    pub fixtures: Vec<Arc<FixturePlan>>,
    /// Variables that need what a fixture gives, each after those that it needs.
    pub late_vars: Vec<(String, Template)>,
    /// What happens to provider calls, on purpose, and where that is written.
    pub faults: Vec<Located<Fault>>,
    pub steps: Vec<StepPlan>,
    pub cleanup: Vec<StepPlan>,
}

impl CasePlan {
    /// Whether a check looks at provider requests or a fault meets them, so that it must be known which trial caused them.
    pub fn watches_provider(&self) -> bool {
        !self.faults.is_empty()
            || self.steps.iter().any(StepPlan::watches_provider)
            || self.fixtures.iter().any(|fixture| fixture.watches_provider())
    }
}

impl StepPlan {
    /// As [`CasePlan::watches_provider`], for one step.
    pub fn watches_provider(&self) -> bool {
        self.steps.iter().any(Self::watches_provider)
            || self.expect.iter().any(|check| {
                matches!(check.value, Check::ProviderRequest { .. } | Check::ProviderCalls { .. })
            })
    }
}

/// A condition list with its reason.
#[derive(Debug, Clone)]
pub struct RulePlan {
    pub conditions: Vec<Condition>,
    pub because: String,
    pub span: Span,
}

/// What must hold for a rule to apply. Some of it only the stack can tell.
#[derive(Debug, Clone)]
pub enum Condition {
    /// The provider type of this parameter's model is (or is not) one of these.
    ProviderType {
        param: String,
        types: Vec<String>,
        negated: bool,
    },
    Target {
        kinds: Vec<TargetKind>,
        negated: bool,
    },
    Client(Vec<Client>),
    /// The stack's version begins with one of these.
    Version(Vec<String>),
    EnvUnset(String),
    NoProvider {
        api: String,
        provider_type: String,
    },
    /// More than one provider serves this API.
    SeveralProviders(String),
    NoRoute {
        method: String,
        path: String,
    },
    /// The list at this path does not name this.
    NotListed {
        path: String,
        id: Template,
    },
    When(Template),
}

/// One step, lowered.
#[derive(Debug, Clone)]
pub struct StepPlan {
    pub span: Span,
    pub name: Option<String>,
    pub request: Option<RequestPlan>,
    pub for_each: Option<(String, Template)>,
    pub steps: Vec<StepPlan>,
    pub repeat: Option<RepeatPlan>,
    pub when: Option<Template>,
    pub poll: Option<PollPlan>,
    pub expect: Vec<Located<Check<Template>>>,
    pub keep: Vec<(String, Located<KeepPlan>)>,
}

/// A loop whose condition is looked at after each round.
#[derive(Debug, Clone)]
pub struct RepeatPlan {
    pub again_while: Template,
    pub at_most: u64,
}

/// A request before its templates are filled.
#[derive(Debug, Clone)]
pub struct RequestPlan {
    pub method: http::Method,
    pub path: Template,
    pub query: Vec<(String, Template)>,
    pub headers: Vec<(String, Template)>,
    pub body: BodyPlan,
    pub timeout: Option<Duration>,
    /// The connection is closed after this many events.
    pub abort_after: Option<usize>,
}

/// A body before its templates are filled.
#[derive(Debug, Clone)]
pub enum BodyPlan {
    None,
    Json(Template),
    /// A list, each element on a line of its own.
    Jsonl(Template),
    Text(Template),
    Multipart(Vec<(String, PartPlan)>),
}

/// A part of a multipart body.
#[derive(Debug, Clone)]
pub enum PartPlan {
    Field(Template),
    File { filename: Template, content_type: String, content: ContentPlan },
}

/// Where an uploaded file's bytes come from.
#[derive(Debug, Clone)]
pub enum ContentPlan {
    Text(Template),
    /// A list, each element on a line of its own.
    Jsonl(Template),
    /// A file below the project's root.
    Path(Located<String>),
}

/// How a step is repeated until it holds.
#[derive(Debug, Clone)]
pub struct PollPlan {
    pub every: Duration,
    pub within: Duration,
    pub unless: Vec<Located<Check<Template>>>,
    pub timeout_is: PollTimeout,
}

/// Something to keep under a name.
#[derive(Debug, Clone)]
pub enum KeepPlan {
    Take(Keep),
    Value(Template),
    /// A file below the project's root.
    File(Located<String>, FileForm),
}
