// SPDX-License-Identifier: Apache-2.0
//! Pairs of servers that fail to pass rows on to each other, as seen by this node.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::transport::Peer;

/// Time after which such a pair is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// Pairs of servers, from and to, between which rows were lost or changed, with the time.
#[derive(Default)]
pub(crate) struct Pushes(Mutex<HashMap<(Peer, Peer), Instant>>);

impl Pushes {
    /// Records that rows from `from` do not reach `to` intact.
    pub fn failed(&self, from: &Peer, to: &Peer) {
        let pair = (from.clone(), to.clone());
        self.0.lock().insert(pair, Instant::now());
    }

    /// Whether `from` may pass rows on to `to`.
    pub fn may(&self, from: &Peer, to: &Peer) -> bool {
        let pair = (from.clone(), to.clone());
        let failed = self.0.lock().get(&pair).copied();
        failed.is_none_or(|at| at.elapsed() >= AGAIN)
    }

    /// Forgets expired entries.
    pub fn tidy(&self) {
        self.0.lock().retain(|_, at| at.elapsed() < AGAIN);
    }
}
