// SPDX-License-Identifier: Apache-2.0
//! Which servers do not pass rows on to each other, as far as this node has seen.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::transport::Peer;

/// After so long it is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// Pairs of servers, from and to, between which something was lost or changed, and when.
#[derive(Default)]
pub(crate) struct Pushes(Mutex<HashMap<(Peer, Peer), Instant>>);

impl Pushes {
    /// Takes note that what `from` passes on does not come to `to` as it should.
    pub fn failed(&self, from: &Peer, to: &Peer) {
        let pair = (from.clone(), to.clone());
        self.0.lock().insert(pair, Instant::now());
    }

    /// Whether the one may pass on to the other.
    pub fn may(&self, from: &Peer, to: &Peer) -> bool {
        let pair = (from.clone(), to.clone());
        let failed = self.0.lock().get(&pair).copied();
        failed.is_none_or(|at| at.elapsed() >= AGAIN)
    }

    /// Forgets what is over.
    pub fn tidy(&self) {
        self.0.lock().retain(|_, at| at.elapsed() < AGAIN);
    }
}
