// SPDX-License-Identifier: Apache-2.0
//! Rate limits, and used nonces. Pure: callers pass the time in.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::Hash,
    time::Instant,
};

/// Maximum number of buckets, and of accounts with nonces; beyond it, full buckets and expired
/// nonces are forgotten.
const MAX_KEYS: usize = 4_096;

/// Maximum number of nonces of an account that are kept.
const MAX_NONCES: usize = 1_024;

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

/// Recently used nonces of each account.
pub(crate) struct Nonces<A, N> {
    of: HashMap<A, Used<N>>,
}

struct Used<N> {
    known: HashSet<N>,
    order: VecDeque<(u64, N)>,
}

/// Whether a nonce was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// For the first time.
    New,
    /// It is known already.
    Known,
    /// The account has used too many in this time, or too many accounts have.
    Full,
}

impl<A, N> Default for Nonces<A, N> {
    fn default() -> Self {
        Self { of: HashMap::new() }
    }
}

impl<A: Eq + Hash + Clone, N: Eq + Hash + Clone> Nonces<A, N> {
    /// Remembers `nonce` of `account` until `expires`; later its message is refused for its age.
    /// Times are in milliseconds. No account can use up the memory of another.
    pub fn remember(&mut self, account: &A, nonce: N, expires: u64, now: u64) -> Noted {
        if self.of.len() >= MAX_KEYS && !self.of.contains_key(account) {
            self.of.retain(|_, used| {
                used.forget(now);
                !used.known.is_empty()
            });
            if self.of.len() >= MAX_KEYS {
                return Noted::Full;
            }
        }
        let used = self.of.entry(account.clone()).or_insert_with(|| Used {
            known: HashSet::new(),
            order: VecDeque::new(),
        });
        used.forget(now);
        if used.known.contains(&nonce) {
            return Noted::Known;
        }
        if used.known.len() >= MAX_NONCES {
            return Noted::Full;
        }
        used.known.insert(nonce.clone());
        used.order.push_back((expires, nonce));
        Noted::New
    }
}

impl<N: Eq + Hash> Used<N> {
    fn forget(&mut self, now: u64) {
        while let Some((_, old)) = self.order.front().filter(|(until, _)| *until < now) {
            self.known.remove(old);
            self.order.pop_front();
        }
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
        assert_eq!(nonces.remember(&1, 7, 100, 0), Noted::New);
        assert_eq!(nonces.remember(&1, 7, 100, 100), Noted::Known);
        assert_eq!(nonces.remember(&2, 7, 100, 100), Noted::New);
        assert_eq!(nonces.remember(&1, 8, 200, 101), Noted::New);
        assert_eq!(nonces.of[&1].known.len(), 1, "the old one is forgotten");
    }

    #[test]
    fn an_account_that_uses_up_its_nonces_keeps_nobody_else_out() {
        let mut nonces = Nonces::default();
        for n in 0..MAX_NONCES {
            assert_eq!(nonces.remember(&0, n, 10, 0), Noted::New);
        }
        assert_eq!(nonces.remember(&0, MAX_NONCES, 10, 0), Noted::Full);
        assert_eq!(nonces.remember(&1, 0, 10, 0), Noted::New);
        assert_eq!(nonces.remember(&0, MAX_NONCES, 30, 20), Noted::New);
        for account in 2..MAX_KEYS {
            assert_eq!(nonces.remember(&account, 0, 30, 20), Noted::New);
        }
        assert_eq!(nonces.remember(&MAX_KEYS, 0, 30, 5), Noted::Full);
        assert_eq!(nonces.remember(&MAX_KEYS, 0, 90, 60), Noted::New);
        assert_eq!(nonces.of.len(), 1);
    }
}
