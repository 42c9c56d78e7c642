//! What was used lately, bounded in bytes.

use std::collections::HashMap;
use std::hash::Hash;

/// Keeps values up to a total weight. Two generations stand in for an exact order of use: a value that is asked for
/// moves to the young one; when that holds half of the limit, it becomes the old one and what was old is dropped.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    limit: usize,
    weight: usize,
    young: HashMap<K, (V, usize)>,
    old: HashMap<K, (V, usize)>,
}

impl<K: Hash + Eq + Clone, V: Clone> Recent<K, V> {
    /// `limit` in bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, weight: 0, young: HashMap::new(), old: HashMap::new() }
    }

    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        if let Some((value, _)) = self.young.get(key) {
            return Some(value.clone());
        }
        let (value, weight) = self.old.remove(key)?;
        self.insert(key.clone(), value.clone(), weight);
        Some(value)
    }

    /// Keeps `value`, unless it alone weighs more than half of the limit.
    pub(crate) fn insert(&mut self, key: K, value: V, weight: usize) {
        self.remove(&key);
        if weight > self.limit / 2 {
            return;
        }
        if self.weight + weight > self.limit / 2 {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
        self.weight += weight;
        self.young.insert(key, (value, weight));
    }

    pub(crate) fn remove(&mut self, key: &K) {
        self.old.remove(key);
        if let Some((_, weight)) = self.young.remove(key) {
            self.weight -= weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(cache: &Recent<u32, ()>) -> usize {
        cache.young.values().chain(cache.old.values()).map(|(_, weight)| weight).sum()
    }

    #[test]
    fn the_weight_is_bounded_and_what_is_used_stays() {
        let mut cache = Recent::new(100);
        for key in 0..1000 {
            cache.insert(key, (), 9);
            assert!(held(&cache) <= 100);
            assert!(cache.get(&0).is_some(), "used after every insert");
        }
        assert!(cache.get(&500).is_none());
        cache.insert(7, (), 51);
        assert!(cache.get(&7).is_none(), "too heavy");
        cache.remove(&0);
        assert!(cache.get(&0).is_none());
    }
}
