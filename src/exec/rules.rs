//! Whether a skip or xfail rule applies to a trial.

use super::facts::Facts;
use crate::http::client::Transport;
use crate::plan::expression::truthy;
use crate::plan::template::FillError;
use crate::plan::trial::{Condition, RulePlan, TrialPlan};
use crate::schema::case::TargetKind;

/// The first rule that applies.
pub(super) async fn applying<'r>(
    rules: &'r [RulePlan],
    trial: &TrialPlan,
    kind: TargetKind,
    facts: &Facts,
    transport: &Transport,
) -> Result<Option<&'r RulePlan>, FillError> {
    for rule in rules {
        let mut all = true;
        for condition in &rule.conditions {
            all = all && holds(condition, trial, kind, facts, transport).await?;
        }
        if all {
            return Ok(Some(rule));
        }
    }
    Ok(None)
}

async fn holds(
    condition: &Condition,
    trial: &TrialPlan,
    kind: TargetKind,
    facts: &Facts,
    transport: &Transport,
) -> Result<bool, FillError> {
    Ok(match condition {
        Condition::ProviderType { param, types, negated } => {
            let model = trial.scope.get(param).and_then(serde_json::Value::as_str).unwrap_or_default();
            match facts.provider_type_of(model, transport).await {
                Some(found) => types.iter().any(|t| t == found) != *negated,
                // Not a Llama Stack, or a model it does not list: the rule has nothing to say.
                None => false,
            }
        }
        Condition::Target { kinds, negated } => kinds.contains(&kind) != *negated,
        Condition::Client(clients) => trial.client.is_some_and(|client| clients.contains(&client)),
        Condition::Version(versions) => {
            let found = facts.version(transport).await;
            found.is_some_and(|found| versions.iter().any(|v| found.starts_with(v.as_str())))
        }
        Condition::EnvUnset(name) => trial
            .scope
            .get("env")
            .and_then(|env| env.get(name))
            .and_then(serde_json::Value::as_str)
            .is_none_or(str::is_empty),
        Condition::NoProvider { api, provider_type } => {
            facts.has_provider(api, provider_type, transport).await == Some(false)
        }
        Condition::SeveralProviders(api) => facts.provider_count(api, transport).await > 1,
        Condition::NoRoute { method, path } => facts.has_route(method, path, transport).await == Some(false),
        Condition::NotListed { path, id } => {
            facts.lists(path, &id.fill_text(&trial.scope)?, transport).await == Some(false)
        }
        Condition::When(template) => truthy(&template.fill(&trial.scope)?),
    })
}
