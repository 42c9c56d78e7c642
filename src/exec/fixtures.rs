//! Fixtures at work: each is made by the first trial that uses it, others wait for it, and the last user's end takes it
//! down. One that cannot be made breaks every trial that uses it, with the fixture's own failure.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};

use serde_json::Value;
use tokio::sync::Mutex;

use super::context::RunContext;
use super::event::{Failure, FailureKind, Outcome};
use super::request;
use super::stage::{self, StageEnd};
use super::trial::outcome_of;
use super::verdict::EXCERPT_LINES;
use crate::http::HeaderMap;
use crate::mcp;
use crate::plan::expression::Scope;
use crate::plan::fixture::{FixtureKind, FixturePlan};
use crate::plan::trial::TrialPlan;
use crate::schema::fixture::FixtureScope;

/// The fixtures of a run that live longer than a trial.
#[derive(Debug, Default)]
pub struct Fixtures {
    shared: SyncMutex<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// In the order in which they were first asked for.
    slots: Vec<Arc<Slot>>,
    /// How many trials have yet to end that use a fixture, by its id.
    users: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct Slot {
    plan: Arc<FixturePlan>,
    made: Mutex<Option<Result<Made, Failures>>>,
}

type Failures = Vec<Failure>;

/// A fixture that is there.
#[derive(Debug)]
struct Made {
    /// What templates know under its name.
    value: Value,
    /// What its cleanup may use.
    scope: Scope,
    /// Kept for as long as the fixture; its end is the server's.
    server: Option<mcp::Server>,
}

/// The fixtures of one trial: what they are called, what they gave, and those that end with the trial.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub values: Vec<(String, Value)>,
    pub servers: BTreeMap<String, mcp::Log>,
    own: Vec<(Arc<FixturePlan>, Made)>,
}

impl Given {
    fn take(&mut self, plan: &FixturePlan, made: &Made) {
        self.values.push((plan.name.clone(), made.value.clone()));
        self.servers.extend(made.server.as_ref().map(|server| (plan.name.clone(), server.log.clone())));
    }
}

impl Fixtures {
    /// Counts who uses what in so many rounds, so that a fixture can end with its last user. Without it all of them end
    /// with the run.
    pub(super) fn expect(&self, trials: &[TrialPlan], rounds: u32) {
        let mut shared = self.lock();
        for fixture in trials.iter().flat_map(|trial| &trial.case.fixtures).filter(|plan| is_shared(plan)) {
            *shared.users.entry(fixture.id.clone()).or_default() += u64::from(rounds);
        }
    }

    /// Makes what a trial shares with others, or waits for it.
    pub(super) async fn shared(&self, context: &RunContext, trial: &TrialPlan) -> Result<Given, Outcome> {
        let mut given = Given::default();
        for plan in trial.case.fixtures.iter().filter(|plan| is_shared(plan)) {
            let slot = self.slot(plan);
            let mut made = slot.made.lock().await;
            if made.is_none() {
                let begun = make_shared(context, plan, &given).await;
                // What was cut short by an interrupt says nothing about the fixture, but nobody will try it again.
                *made = Some(begun);
            }
            match made.as_ref() {
                Some(Ok(made)) => given.take(plan, made),
                Some(Err(failures)) => return Err(broken(failures.clone())),
                None => {}
            }
        }
        Ok(given)
    }

    /// Tells that a trial is over; what nobody will use any more is taken down. Returns what went wrong with that.
    pub(super) async fn release(&self, context: &RunContext, trial: &TrialPlan) -> Failures {
        let mut last = Vec::new();
        for plan in trial.case.fixtures.iter().filter(|plan| is_shared(plan)) {
            let mut shared = self.lock();
            let Some(users) = shared.users.get_mut(&plan.id) else { continue };
            *users -= 1;
            if *users == 0 {
                last.extend(shared.slots.iter().find(|slot| slot.plan.id == plan.id).cloned());
            }
        }
        take_down(context, &last).await
    }

    /// Takes down what is left at the end of a run: after an interrupt, or where trials were not counted.
    pub async fn finish(&self, context: &RunContext) -> Vec<Failure> {
        let slots = std::mem::take(&mut self.lock().slots);
        take_down(context, &slots).await
    }

    fn slot(&self, plan: &Arc<FixturePlan>) -> Arc<Slot> {
        let mut shared = self.lock();
        if let Some(slot) = shared.slots.iter().find(|slot| slot.plan.id == plan.id) {
            return slot.clone();
        }
        let slot = Arc::new(Slot { plan: plan.clone(), made: Mutex::new(None) });
        shared.slots.push(slot.clone());
        slot
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_shared(plan: &FixturePlan) -> bool {
    plan.scope != FixtureScope::Trial
}

/// Makes the fixtures that live as long as the trial, over those that it shares; `profile` are the trial's headers.
pub(super) async fn make_own(
    context: &RunContext,
    trial: &TrialPlan,
    profile: &HeaderMap,
    given: &mut Given,
) -> Result<(), Outcome> {
    for plan in trial.case.fixtures.iter().filter(|plan| !is_shared(plan)) {
        let mut scope = trial.scope.clone();
        scope.insert(
            "fixture".to_owned(),
            crate::plan::fixture::identity(&format!("{} {}", trial.id, plan.name)),
        );
        match make(context, plan, scope, &trial.id, profile, given).await {
            Ok(made) => {
                given.take(plan, &made);
                given.own.push((plan.clone(), made));
            }
            Err(failures) => return Err(broken(failures)),
        }
    }
    Ok(())
}

/// Takes down what [`make_own`] made, the last first.
pub(super) async fn clean_own(
    context: &RunContext,
    trial: &TrialPlan,
    profile: &HeaderMap,
    given: &mut Given,
) -> Failures {
    let mut failures = Vec::new();
    let own = std::mem::take(&mut given.own);
    for (plan, made) in own.into_iter().rev() {
        failures.extend(clean(context, &plan, made, &trial.id, profile, &given.servers).await);
    }
    failures
}

/// A shared fixture's provider calls are its own, not those of the trial that happened to come first.
async fn make_shared(context: &RunContext, plan: &FixturePlan, given: &Given) -> Result<Made, Failures> {
    let profile = shared_profile(context, plan);
    let active = context.traffic.begin(&plan.id, Vec::new(), Vec::new());
    let made = make(context, plan, plan.values.clone(), &plan.id, &profile, given).await;
    context.traffic.complete().await;
    drop(active);
    let outcome = match &made {
        Ok(_) => Outcome::Passed,
        Err(failures) => Outcome::Failed(failures.clone()),
    };
    match context.traffic.settle(&plan.id, &plan.values, outcome) {
        Outcome::Failed(failures) | Outcome::Broken(failures) => {
            if let Ok(made) = made {
                // It seems to be there, but it came from an answer that no provider gave.
                let _ = clean(context, plan, made, &plan.id, &profile, &given.servers).await;
            }
            Err(failures)
        }
        _ => made,
    }
}

fn shared_profile(context: &RunContext, plan: &FixturePlan) -> HeaderMap {
    let mut profile = request::profile(None);
    context.traffic.tag(&plan.id, &mut profile);
    profile
}

/// Takes down shared fixtures, the last first.
async fn take_down(context: &RunContext, slots: &[Arc<Slot>]) -> Failures {
    let mut failures = Vec::new();
    for Slot { plan, made } in slots.iter().rev().map(Arc::as_ref) {
        let Some(Ok(made)) = made.lock().await.take() else { continue };
        let _company = context.alone.read().await;
        let _active = context.traffic.begin(&plan.id, Vec::new(), Vec::new());
        let profile = shared_profile(context, plan);
        failures.extend(clean(context, plan, made, &plan.id, &profile, &BTreeMap::new()).await);
    }
    failures
}

/// Makes one fixture under a scope that lacks only what the fixtures before it gave. What a failing one has made is
/// taken down at once.
async fn make(
    context: &RunContext,
    plan: &FixturePlan,
    mut scope: Scope,
    caller: &str,
    profile: &HeaderMap,
    given: &Given,
) -> Result<Made, Failures> {
    let (steps, cleanup) = match &plan.kind {
        FixtureKind::Mcp(spec) => {
            return match mcp::Server::start(spec.clone()).await {
                Ok(server) => {
                    let value = plan.mcp_value(&server);
                    Ok(Made { value, scope, server: Some(server) })
                }
                Err(error) => {
                    let title = format!("the MCP server `{}` did not start: {error}", plan.name);
                    Err(vec![Failure::new(FailureKind::Fault, title).at(&plan.span, EXCERPT_LINES)])
                }
            };
        }
        FixtureKind::Steps { steps, cleanup } => (steps, cleanup),
    };
    scope.extend(given.values.iter().filter(|(name, _)| plan.uses.contains(name)).cloned());
    let limit = plan.timeout.unwrap_or(context.timeout);
    let with = stage::step_context(context, caller, profile, &given.servers, limit);
    let failures = match stage::run(steps, &mut scope, with, limit, context, |_, _, _| {}).await {
        StageEnd::Passed => {
            let kept =
                plan.members().iter().filter_map(|name| Some((name.clone(), scope.get(name)?.clone())));
            let value = Value::Object(kept.collect());
            return Ok(Made { value, scope, server: None });
        }
        StageEnd::Failed(failures) => failures,
        StageEnd::Skipped(reason) => {
            vec![Failure::new(FailureKind::Fault, reason).at(&plan.span, EXCERPT_LINES)]
        }
        StageEnd::TimedOut(index) => {
            let title = format!("it did not end within {}s; it was at this step", limit.as_secs_f64());
            let span = steps.get(index).map_or(&plan.span, |step| &step.span);
            vec![Failure::new(FailureKind::Fault, title).at(span, EXCERPT_LINES)]
        }
        StageEnd::Interrupted => vec![Failure::new(FailureKind::Fault, "interrupted").at(&plan.span, 0)],
    };
    let left = stage::clean(cleanup, &mut scope, with, limit, context).await;
    Err(failures.into_iter().chain(left).map(|failure| named(plan, failure)).collect())
}

async fn clean(
    context: &RunContext,
    plan: &FixturePlan,
    made: Made,
    caller: &str,
    profile: &HeaderMap,
    servers: &BTreeMap<String, mcp::Log>,
) -> Failures {
    let FixtureKind::Steps { cleanup, .. } = &plan.kind else { return Vec::new() };
    let limit = plan.timeout.unwrap_or(context.timeout);
    let with = stage::step_context(context, caller, profile, servers, limit);
    let mut scope = made.scope;
    let left = stage::clean(cleanup, &mut scope, with, limit, context).await;
    left.into_iter().map(|failure| named(plan, failure)).collect()
}

fn named(plan: &FixturePlan, failure: Failure) -> Failure {
    Failure { title: format!("fixture `{}`: {}", plan.name, failure.title), ..failure }
}

/// A trial without its fixture has shown nothing about the stack; a missing recording stays one.
fn broken(failures: Failures) -> Outcome {
    match outcome_of(failures) {
        Outcome::Failed(failures) if failures.iter().any(|f| f.kind != FailureKind::Miss) => {
            Outcome::Broken(failures)
        }
        other => other,
    }
}
