// SPDX-License-Identifier: Apache-2.0
//! Rate limits, and used nonces. Pure: callers pass the time in.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::Hash,
    time::Instant,
};

/// Maximum number of buckets; beyond it, full buckets are forgotten.
const MAX_KEYS: usize = 4_096;

/// Maximum number of nonces that are kept.
const MAX_NONCES: usize = 65_536;

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

/// A token bucket for each key.
pub(crate) struct Rates<K> {
    buckets: HashMap<K, Bucket>,
}

impl<K> Default for Rates<K> {
    fn default() -> Self {
        Self {
            buckets: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash + Clone> Rates<K> {
    /// Takes a token from `key`'s bucket, which holds `burst` tokens and gains `rate` a second.
    /// Returns whether there was one.
    pub fn take(&mut self, key: &K, rate: f64, burst: f64, now: Instant) -> bool {
        let filled = |bucket: &Bucket| {
            let seconds = now.saturating_duration_since(bucket.filled).as_secs_f64();
            (bucket.tokens + seconds * rate).min(burst)
        };
        if !self.buckets.contains_key(key) {
            if self.buckets.len() >= MAX_KEYS {
                // A full bucket is the same as none.
                self.buckets.retain(|_, bucket| filled(bucket) < burst);
            }
            if self.buckets.len() >= MAX_KEYS {
                return false;
            }
        }
        let bucket = self.buckets.entry(key.clone()).or_insert(Bucket {
            tokens: burst,
            filled: now,
        });
        let tokens = filled(bucket);
        let allowed = tokens >= 1.0;
        *bucket = Bucket {
            tokens: if allowed { tokens - 1.0 } else { tokens },
            filled: now,
        };
        allowed
    }
}

/// Recently used nonces.
#[derive(Default)]
pub(crate) struct Nonces<N> {
    known: HashSet<N>,
    order: VecDeque<(u64, N)>,
}

impl<N: Eq + Hash + Clone> Nonces<N> {
    /// Remembers `nonce` until `expires`; later its message is refused for its age. Returns false
    /// if the nonce is known already, or if the memory is full. Times are in milliseconds.
    pub fn remember(&mut self, nonce: N, expires: u64, now: u64) -> bool {
        while let Some((_, old)) = self.order.front().filter(|(until, _)| *until < now) {
            self.known.remove(old);
            self.order.pop_front();
        }
        if self.known.len() >= MAX_NONCES || !self.known.insert(nonce.clone()) {
            return false;
        }
        self.order.push_back((expires, nonce));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut rates = Rates::default();
        let given = (0..10).filter(|_| rates.take(&1, 10.0, 4.0, at(0))).count();
        assert_eq!(given, 4);
        assert!(rates.take(&2, 10.0, 4.0, at(0)), "each key has its own");
        assert!(!rates.take(&1, 10.0, 4.0, at(50)));
        assert!(rates.take(&1, 10.0, 4.0, at(100)));
        assert!(!rates.take(&1, 10.0, 4.0, at(100)));
        let given = (0..10)
            .filter(|_| rates.take(&1, 10.0, 4.0, at(60_000)))
            .count();
        assert_eq!(given, 4, "never more than a burst");
    }

    #[test]
    fn many_keys_take_bounded_memory_and_idle_ones_give_way() {
        let start = Instant::now();
        let mut rates = Rates::default();
        for key in 0..2 * MAX_KEYS {
            rates.take(&key, 1.0, 2.0, start);
        }
        assert_eq!(rates.buckets.len(), MAX_KEYS);
        assert!(rates.take(&usize::MAX, 1.0, 2.0, start + Duration::from_secs(9)));
        assert_eq!(rates.buckets.len(), 1);
    }

    #[test]
    fn a_nonce_is_good_once_while_its_message_could_be() {
        let mut nonces = Nonces::default();
        assert!(nonces.remember(7, 100, 0));
        assert!(!nonces.remember(7, 100, 100));
        assert!(nonces.remember(8, 200, 101));
        assert_eq!(nonces.known.len(), 1, "the old one is forgotten");
    }

    #[test]
    fn nonces_take_bounded_memory() {
        let mut nonces = Nonces::default();
        let taken = (0..MAX_NONCES + 5)
            .filter(|&n| nonces.remember(n, 10, 0))
            .count();
        assert_eq!(taken, MAX_NONCES);
        assert!(nonces.remember(MAX_NONCES, 30, 20));
    }
}
