//! One ranking out of two, as Llama Stack 0.3.0 makes it for hybrid search.
//!
//! Keyword scores are BM25's, where less is better; upstream ranks them as if more were, and so does this.

use indexmap::IndexMap;

/// Scores by chunk id, in the order found.
pub(crate) type Scores = IndexMap<String, f64>;

/// How two rankings are joined.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ranker {
    /// Reciprocal ranks: the larger the factor, the less the first places count.
    Rrf { impact_factor: f64 },
    /// A weighted mean of the scores, each stretched to 0..1; `alpha` is the vectors' share.
    Weighted { alpha: f64 },
}

impl Default for Ranker {
    fn default() -> Self {
        Self::Rrf { impact_factor: 60.0 }
    }
}

/// The joined scores, best first.
pub(crate) fn fuse(vector: &Scores, keyword: &Scores, ranker: Ranker) -> Vec<(String, f64)> {
    let (vector, keyword, missing) = match ranker {
        Ranker::Rrf { impact_factor } => {
            (reciprocal(vector, impact_factor), reciprocal(keyword, impact_factor), 0.0)
        }
        Ranker::Weighted { alpha } => (scaled(vector, alpha), scaled(keyword, 1.0 - alpha), 0.0),
    };
    let ids = vector.keys().chain(keyword.keys().filter(|id| !vector.contains_key(*id)));
    let of = |scores: &Scores, id: &String| scores.get(id).copied().unwrap_or(missing);
    let mut fused: Vec<(String, f64)> =
        ids.map(|id| (id.clone(), of(&vector, id) + of(&keyword, id))).collect();
    fused.sort_by(|a, b| b.1.total_cmp(&a.1));
    fused
}

fn reciprocal(scores: &Scores, impact_factor: f64) -> Scores {
    let mut ranked: Vec<(&String, f64)> = scores.iter().map(|(id, score)| (id, *score)).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    let rank = |(at, (id, _)): (usize, (&String, f64))| (id.clone(), 1.0 / (impact_factor + (at + 1) as f64));
    ranked.into_iter().enumerate().map(rank).collect()
}

/// Stretched to 0..1 and multiplied by `share`; all 1 when they are all the same.
fn scaled(scores: &Scores, share: f64) -> Scores {
    let least = scores.values().copied().fold(f64::INFINITY, f64::min);
    let range = scores.values().copied().fold(f64::NEG_INFINITY, f64::max) - least;
    let scale = |score: f64| if range > 0.0 { (score - least) / range } else { 1.0 };
    scores.iter().map(|(id, score)| (id.clone(), share * scale(*score))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(pairs: &[(&str, f64)]) -> Scores {
        pairs.iter().map(|(id, score)| ((*id).to_owned(), *score)).collect()
    }

    /// `id score` with four digits, best first.
    fn fused(ranker: Ranker) -> Vec<String> {
        let vector = scores(&[("a", 0.9), ("b", 0.5), ("c", 0.1)]);
        let keyword = scores(&[("b", -2.0), ("d", -1.0)]);
        fuse(&vector, &keyword, ranker).iter().map(|(id, score)| format!("{id} {score:.4}")).collect()
    }

    /// Computed with Llama Stack 0.3.0's own functions.
    #[test]
    fn scores_are_upstreams() {
        assert_eq!(fused(Ranker::default()), ["b 0.0323", "a 0.0164", "d 0.0164", "c 0.0159"]);
        assert_eq!(fused(Ranker::Weighted { alpha: 0.7 }), ["a 0.7000", "b 0.3500", "d 0.3000", "c 0.0000"]);
    }

    #[test]
    fn equal_scores_are_all_one() {
        let same = fuse(&scores(&[("a", 3.0)]), &Scores::new(), Ranker::Weighted { alpha: 0.5 });
        assert_eq!(same, [("a".to_owned(), 0.5)]);
    }
}
