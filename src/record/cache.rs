//! What was used lately, bounded in bytes.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use serde_json::Value;

/// Keeps values up to a total weight; what has not been used for longest goes first.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    limit: usize,
    weight: usize,
    /// Counts insertions and uses.
    clock: u64,
    slots: HashMap<K, Slot<V>>,
    /// In order of insertion, or of the last time that their turn to go came. Looked at only then, so that a use costs
    /// no more than a look-up.
    queue: VecDeque<Turn<K>>,
}

#[derive(Debug)]
struct Slot<V> {
    value: V,
    weight: usize,
    inserted: u64,
    used: u64,
}

#[derive(Debug)]
struct Turn<K> {
    key: K,
    inserted: u64,
    used: u64,
}

impl<K: Hash + Eq + Clone, V: Clone> Recent<K, V> {
    /// `limit` in bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, weight: 0, clock: 0, slots: HashMap::new(), queue: VecDeque::new() }
    }

    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.clock += 1;
        let slot = self.slots.get_mut(key)?;
        slot.used = self.clock;
        Some(slot.value.clone())
    }

    /// Keeps `value`, unless it alone weighs more than a quarter of the limit.
    pub(crate) fn insert(&mut self, key: K, value: V, weight: usize) {
        self.remove(&key);
        if weight > self.limit / 4 {
            return;
        }
        self.clock += 1;
        let now = self.clock;
        self.weight += weight;
        self.slots.insert(key.clone(), Slot { value, weight, inserted: now, used: now });
        self.queue.push_back(Turn { key, inserted: now, used: now });
        while self.weight > self.limit
            && let Some(turn) = self.queue.pop_front()
        {
            match self.slots.get(&turn.key) {
                Some(slot) if slot.inserted != turn.inserted => {}
                Some(slot) if slot.used != turn.used => {
                    self.queue.push_back(Turn { used: slot.used, ..turn });
                }
                Some(_) => self.remove(&turn.key),
                None => {}
            }
        }
    }

    pub(crate) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: std::borrow::Borrow<Q>,
    {
        if let Some(slot) = self.slots.remove(key) {
            self.weight -= slot.weight;
        }
    }
}

/// About how many bytes of memory a JSON value takes.
pub(crate) fn weight_of(value: &Value) -> usize {
    const NODE: usize = 80;
    NODE + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight_of).sum(),
        Value::Object(members) => {
            members.iter().map(|(name, member)| NODE + name.len() + weight_of(member)).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weight_is_bounded_and_what_is_used_stays() {
        let mut cache = Recent::new(100);
        for key in 0..1000 {
            cache.insert(key, (), 9);
            let held: usize = cache.slots.values().map(|slot| slot.weight).sum();
            assert_eq!(held, cache.weight);
            assert!(held <= 100 && cache.queue.len() <= 12);
            assert!(cache.get(&0).is_some(), "used after every insert");
        }
        assert!(cache.get(&500).is_none() && cache.get(&995).is_some());
        cache.insert(7, (), 26);
        assert!(cache.get(&7).is_none(), "too heavy");
        cache.remove(&0);
        assert!(cache.get(&0).is_none());
    }

    #[test]
    fn going_round_within_the_limit_always_hits() {
        let mut cache = Recent::new(100);
        (0..10).for_each(|key| cache.insert(key, (), 10));
        assert!((0..50).all(|turn| cache.get(&(turn % 10)).is_some()));
    }
}
