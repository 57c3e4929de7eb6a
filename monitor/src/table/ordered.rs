//! A hash map that iterates in the order of first insertion.
//!
//! Rows keep their place on the screen because of it. A removed entry leaves a hole, and holes are closed once they
//! outnumber the entries, so every operation is O(1) amortised. It is not a general map: values have a `Default` that
//! fills a hole, and there is no way to re-insert at an old place.

use std::collections::HashMap;
use std::hash::Hash;

/// Holes that are not worth a pass.
const FEW: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Ordered<K, V> {
    index: HashMap<K, usize>,
    entries: Vec<(Option<K>, V)>,
}

impl<K, V> Default for Ordered<K, V> {
    fn default() -> Self {
        Self { index: HashMap::new(), entries: Vec::new() }
    }
}

impl<K: Copy + Eq + Hash, V: Default> Ordered<K, V> {
    /// Entries held.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// The value of `key`.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.index.get(key).map(|&at| &self.entries[at].1)
    }

    /// The value of `key`.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.index.get(key).map(|&at| &mut self.entries[at].1)
    }

    /// The value of `key`, made at the end of the order if it is new; and whether it was.
    pub(super) fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> (&mut V, bool) {
        let end = self.entries.len();
        let at = *self.index.entry(key).or_insert(end);
        if at == end {
            self.entries.push((Some(key), make()));
        }
        (&mut self.entries[at].1, at == end)
    }

    /// Takes `key` out.
    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.index.remove(key)?;
        let (hole, value) = &mut self.entries[at];
        *hole = None;
        let value = std::mem::take(value);
        if self.entries.len() > 2 * self.index.len() + FEW {
            self.close_holes();
        }
        Some(value)
    }

    /// Everything, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().filter_map(|(key, value)| Some((key.as_ref()?, value)))
    }

    /// Everything, oldest first.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.entries.iter_mut().filter_map(|(key, value)| Some((key.as_ref()?, value)))
    }

    fn close_holes(&mut self) {
        self.entries.retain(|(key, _)| key.is_some());
        self.entries.shrink_to(2 * self.entries.len() + FEW);
        self.index.shrink_to(2 * self.entries.len() + FEW);
        for (at, (key, _)) in self.entries.iter().enumerate() {
            if let Some(slot) = key.as_ref().and_then(|key| self.index.get_mut(key)) {
                *slot = at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_survives_removal_and_compaction() {
        let mut map = Ordered::default();
        for n in 0..1_000_u32 {
            assert!(map.entry(n, || n * 2).1);
        }
        for n in (0..1_000).filter(|n| n % 10 != 0) {
            assert_eq!(map.remove(&n), Some(n * 2));
        }
        assert!(map.entries.len() <= 2 * map.len() + FEW);
        assert_eq!(
            map.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>(),
            (0..100).map(|n| (n * 10, n * 20)).collect::<Vec<_>>()
        );
        assert!((0..1_000).all(|n| map.get(&n).is_some() == (n % 10 == 0)));
        assert!(!map.entry(990, || 0).1);
        assert!(map.entry(991, || 0).1);
        assert_eq!(map.iter().last(), Some((&991, &0)));
    }
}
