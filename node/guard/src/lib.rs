// SPDX-License-Identifier: Apache-2.0
//! Keeps a validator that was killed from contradicting its own votes.
//!
//! GRANDPA writes each vote to the database before it sends it. The database keeps writes in memory
//! for a moment, so a node that is killed may forget a vote that others have, and cast another one
//! in the same round. The chain punishes that.
//!
//! A [`Guard`] writes set and round to a file before the key signs. The file goes when the node
//! ends in order. Where it is still there at the start, the node follows the votes without casting
//! any, until it is in a later round than the file names. If finality needs this very validator, no
//! later round comes; so after [`PATIENCE`] it votes again.

mod keystore;
mod record;

use std::{
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    time::Duration,
};

use parking_lot::Mutex;
use sc_consensus_grandpa::SharedVoterState;
use sp_keystore::KeystorePtr;

use keystore::Guarded;
use record::Record;
pub use record::{Error, Vote};

/// Time after which a node that was killed votes again, even if no later round has come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Time between two looks at the round.
const INTERVAL: Duration = Duration::from_millis(200);

/// The guard of a validator's votes.
pub struct Guard {
    path: PathBuf,
    record: Mutex<Record>,
    /// The last vote of a process that did not end in order.
    last: Option<Vote>,
    silent: AtomicBool,
}

impl Guard {
    /// The guard whose file is at `path`.
    ///
    /// # Errors
    ///
    /// The file cannot be made or read, or is another one.
    pub fn open(path: &Path) -> Result<Arc<Self>, Error> {
        let (record, last) = Record::open(path)?;
        Ok(Arc::new(Self {
            path: path.to_owned(),
            record: Mutex::new(record),
            last,
            silent: AtomicBool::new(last.is_some()),
        }))
    }

    /// `keystore`, guarded: it hides the keys of GRANDPA while the node must not vote, and signs
    /// no vote that was not written down.
    pub fn over(self: &Arc<Self>, keystore: KeystorePtr) -> KeystorePtr {
        Arc::new(Guarded::new(keystore, self.clone()))
    }

    /// Lets the node vote once it is in a later round than the last vote, or a later set. Ends
    /// then.
    pub async fn watch(self: Arc<Self>, voter: SharedVoterState, set: impl Fn() -> u64 + Send) {
        let Some(last) = self.last else { return };
        log::warn!(
            "this node was killed, and may have forgotten votes of round {} of set {}: it votes again \
             in a later round, or in {} s",
            last.round,
            last.set,
            PATIENCE.as_secs()
        );
        let later = async {
            let mut looks = tokio::time::interval(INTERVAL);
            loop {
                looks.tick().await;
                let round = voter.voter_state().map(|state| state.best_round.0);
                if round.is_some_and(|round| last.is_before(set(), round)) {
                    return;
                }
            }
        };
        let waited = tokio::time::timeout(PATIENCE, later).await;
        self.silent.store(false, Ordering::Release);
        match waited {
            Ok(()) => log::info!("this node votes again: a later round has begun"),
            Err(_) => log::warn!(
                "this node votes again, although no later round has begun: finality may need it"
            ),
        }
    }

    /// Whether the node must not vote now.
    fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Acquire)
    }

    fn note(&self, vote: Vote) -> Result<(), Error> {
        self.record.lock().note(vote)
    }

    /// Something to keep until the node ends in order: dropping it removes the file.
    pub fn until_end(self: &Arc<Self>) -> End {
        End(self.clone())
    }
}

/// Removes a guard's file when it is dropped.
pub struct End(Arc<Guard>);

impl Drop for End {
    fn drop(&mut self) {
        // A node that ends before it was safe to vote leaves the warning for the next start.
        if self.0.is_silent() {
            return;
        }
        if let Err(error) = std::fs::remove_file(&self.0.path) {
            log::warn!("{}: {error}", self.0.path.display());
        }
    }
}
