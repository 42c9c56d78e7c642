//! What was asked of providers: requests and tokens, by provider and model.

use std::collections::BTreeMap;

use crate::exec::event::{Price, ProviderUse, Summary, TrialReport};

/// What one model of a provider was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub requests: usize,
    /// Those that a recording answered.
    pub replayed: usize,
    /// Those that no recording answered.
    pub missed: usize,
    /// As the provider counted them, now or when the answer was recorded.
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

/// By provider and model, which is empty where a request names none; with the requests that belong to no trial.
pub fn by_model<'a>(trials: &'a [TrialReport], summary: &'a Summary) -> BTreeMap<(&'a str, &'a str), Usage> {
    let mut found: BTreeMap<(&str, &str), Usage> = BTreeMap::new();
    for used in trials.iter().flat_map(|trial| &trial.matches).chain(&summary.other_matches) {
        let model = used.model.as_deref().unwrap_or_default();
        found.entry((&used.provider, model)).or_default().add(used);
    }
    found
}

impl Usage {
    /// In dollars; a replayed request counts as what it would have cost.
    pub fn cost(&self, price: Price) -> f64 {
        let tokens = |count: u64| u32::try_from(count).map_or(f64::INFINITY, f64::from) / 1e6;
        tokens(self.prompt_tokens) * price.prompt + tokens(self.completion_tokens) * price.completion
    }

    fn add(&mut self, used: &ProviderUse) {
        self.requests += 1;
        self.replayed += usize::from(used.file.is_some() && used.tier != "recorded");
        self.missed += usize::from(used.tier == "miss");
        if let Some(tokens) = used.tokens {
            self.prompt_tokens += tokens.prompt;
            self.completion_tokens += tokens.completion;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::event::Outcome;
    use crate::record::Tokens;

    fn used(model: Option<&str>, tier: &str, tokens: Option<(u64, u64)>) -> ProviderUse {
        ProviderUse {
            provider: "p".to_owned(),
            model: model.map(str::to_owned),
            tier: tier.to_owned(),
            file: (tier != "miss").then(|| "f.json".to_owned()),
            tokens: tokens.map(|(prompt, completion)| Tokens { prompt, completion }),
            ..ProviderUse::default()
        }
    }

    #[test]
    fn requests_are_added_up_by_model() {
        let matches = vec![
            used(Some("m"), "exact", Some((2, 3))),
            used(Some("m"), "miss", None),
            used(Some("n"), "recorded", Some((1, 1))),
        ];
        let trials = [TrialReport { matches, ..TrialReport::ended("a", Outcome::Passed) }];
        let summary = Summary { other_matches: vec![used(None, "exact", None)], ..Summary::default() };
        let found = by_model(&trials, &summary);
        let keys: Vec<_> = found.keys().copied().collect();
        assert_eq!(keys, [("p", ""), ("p", "m"), ("p", "n")]);
        assert_eq!(
            found[&("p", "m")],
            Usage { requests: 2, replayed: 1, missed: 1, prompt_tokens: 2, completion_tokens: 3 }
        );
        let cost = found[&("p", "m")].cost(Price { prompt: 500_000.0, completion: 1_000_000.0 });
        assert!((cost - 4.0).abs() < 1e-9, "{cost}");
        assert_eq!((found[&("p", "n")].replayed, found[&("p", "")].requests), (0, 1));
    }
}
