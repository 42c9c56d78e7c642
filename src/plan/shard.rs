//! Splitting a plan over machines: every trial in exactly one shard, and the same split wherever it is computed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sha2::{Digest, Sha256};

/// Which part of a plan to run: the `index`th of `count`, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    pub index: usize,
    pub count: usize,
}

impl Shard {
    /// # Errors
    /// When there is no such shard.
    pub fn new(index: usize, count: usize) -> Result<Self, String> {
        if (1..=count).contains(&index) {
            Ok(Self { index, count })
        } else {
            Err(format!("there is no shard {index} of {count}; shards count from 1"))
        }
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers =
            text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        let (index, count) = numbers.ok_or("write INDEX/COUNT, as 2/3")?;
        Self::new(index, count)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// What decides where a trial goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Split {
    /// A hash of the trial's id: a new case moves no other.
    Hash,
    /// How long trials took in an earlier run, by id: shards take equally long.
    Duration(BTreeMap<String, Duration>),
}

impl Split {
    /// The word of `--shard-by`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Duration(_) => "duration",
        }
    }

    /// The shard of each id, in the ids' order, counted from 1.
    pub fn assign(&self, ids: &[&str], count: usize) -> Vec<usize> {
        match self {
            Self::Hash => ids.iter().map(|id| hashed(id, count)).collect(),
            Self::Duration(known) => balanced(ids, count, known),
        }
    }
}

fn hashed(id: &str, count: usize) -> usize {
    let digest = Sha256::digest(id.as_bytes());
    let number = digest.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    // The remainder is below `count`, which is a usize.
    usize::try_from(number % count.max(1) as u64).unwrap_or(0) + 1
}

/// Longest first, each to the shard that has least to do. A trial that is not known takes as long as the mean of those
/// that are. Equal times and loads are settled by id and index, so that all machines come to the same split.
fn balanced(ids: &[&str], count: usize, known: &BTreeMap<String, Duration>) -> Vec<usize> {
    let times: Vec<Duration> = ids.iter().filter_map(|id| known.get(*id).copied()).collect();
    let mean = match u32::try_from(times.len()) {
        Ok(n) if n > 0 => times.iter().sum::<Duration>() / n,
        _ => Duration::from_secs(1),
    };
    let time = |at: usize| known.get(ids[at]).copied().unwrap_or(mean);
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by(|a, b| time(*b).cmp(&time(*a)).then_with(|| ids[*a].cmp(ids[*b])));
    // Trials without a measurable duration still spread: the number of trials settles equal loads.
    let mut loads = vec![(Duration::ZERO, 0usize); count.max(1)];
    let mut shards = vec![1; ids.len()];
    for at in order {
        let least = (0..loads.len()).min_by_key(|shard| loads[*shard]).unwrap_or(0);
        loads[least].0 += time(at);
        loads[least].1 += 1;
        shards[at] = least + 1;
    }
    shards
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shards_are_written_as_index_and_count() {
        assert_eq!("2/3".parse(), Ok(Shard { index: 2, count: 3 }));
        let wrong = |text: &str| text.parse::<Shard>().expect_err("is wrong");
        assert_eq!(wrong("0/3"), "there is no shard 0 of 3; shards count from 1");
        assert_eq!(wrong("4/3"), "there is no shard 4 of 3; shards count from 1");
        assert_eq!(wrong("1/0"), "there is no shard 1 of 0; shards count from 1");
        assert_eq!(wrong("x"), "write INDEX/COUNT, as 2/3");
    }

    fn seconds(times: &[u64]) -> (Vec<String>, Split) {
        let ids: Vec<String> = (0..times.len()).map(|n| format!("a::{n}")).collect();
        let known = ids.iter().cloned().zip(times.iter().map(|n| Duration::from_secs(*n))).collect();
        (ids, Split::Duration(known))
    }

    fn loads(times: &[u64], count: usize) -> Vec<u64> {
        let (ids, split) = seconds(times);
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut loads = vec![0; count];
        for (shard, time) in split.assign(&ids, count).into_iter().zip(times) {
            loads[shard - 1] += time;
        }
        loads
    }

    #[test]
    fn the_longest_go_first() {
        assert_eq!(loads(&[5, 1, 4, 2, 3], 2), [8, 7]);
        assert_eq!(loads(&[0, 0, 0, 0], 2), [0, 0]);
    }

    #[test]
    fn a_split_by_hash_stays() {
        let ids = ["inference/a::x", "inference/a::y", "files/b::z[client-txt=m]"];
        assert_eq!(Split::Hash.assign(&ids, 3), [3, 1, 3]);
    }

    proptest! {
        #[test]
        fn every_trial_is_in_exactly_one_shard(times in prop::collection::vec(0u64..50, 0..120), count in 1usize..64) {
            let (ids, by_time) = seconds(&times);
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            for split in [Split::Hash, by_time] {
                let shards = split.assign(&ids, count);
                prop_assert_eq!(shards.len(), ids.len());
                prop_assert!(shards.iter().all(|shard| (1..=count).contains(shard)));
                let mut reversed: Vec<&str> = ids.clone();
                reversed.reverse();
                let mut again = split.assign(&reversed, count);
                again.reverse();
                prop_assert_eq!(&again, &shards, "the order of trials does not matter");
            }
        }

        /// Graham's bound for longest-first: within 4/3 of the ideal, which is at least the mean and the longest.
        #[test]
        fn shards_by_duration_are_even(times in prop::collection::vec(1u64..50, 1..120), count in 1usize..16) {
            let longest = loads(&times, count).into_iter().max().unwrap_or(0) as f64;
            let total: u64 = times.iter().sum();
            let at_least = (total as f64 / count as f64).max(*times.iter().max().unwrap_or(&0) as f64);
            // Two of the middle ones may have to share a shard, which the mean does not know.
            let mut sorted = times.clone();
            sorted.sort_unstable_by(|a, b| b.cmp(a));
            let pair = if sorted.len() > count { (sorted[count - 1] + sorted[count]) as f64 } else { 0.0 };
            prop_assert!(longest <= at_least.max(pair) * 4.0 / 3.0 + 1e-9, "{longest} of {at_least}");
        }
    }
}
