// SPDX-License-Identifier: Apache-2.0
//! Turns of the programs of a user that send transactions of one account.
//!
//! Of two transactions with the same nonce, the node's pool keeps the one with the higher priority,
//! even if it took the other first. So a nonce is read and used in one turn.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use starling_primitives::H256;
use tokio::{sync::oneshot, time::timeout};

/// The longest wait for a turn. A program that was stopped, or whose node fell silent, may keep its
/// turn for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// A turn. It ends when it is dropped, or with the program.
pub(crate) struct Turn {
    _locked: File,
}

impl Turn {
    /// Waits for a turn of an account. `None` where the folder cannot be used, or another program
    /// does not end its turn: the account then sends without one.
    pub(crate) async fn take(folder: PathBuf, genesis: H256, account: [u8; 32]) -> Option<Self> {
        Self::take_within(folder, genesis, account, PATIENCE).await
    }

    async fn take_within(
        folder: PathBuf,
        genesis: H256,
        account: [u8; 32],
        patience: Duration,
    ) -> Option<Self> {
        let name = format!("{:?}-{:?}", genesis, H256(account));
        let (give, taken) = oneshot::channel();
        // A program that ends does not wait for this thread, as it would for one of its runtime.
        let waiting = thread::Builder::new().spawn(move || {
            if let Ok(locked) = lock(&folder, &name) {
                // Nobody may wait for it any more: it is unlocked then.
                let _ = give.send(locked);
            }
        });
        waiting.ok()?;
        let locked = timeout(patience, taken).await;
        Some(Self {
            _locked: locked.ok()?.ok()?,
        })
    }
}

fn lock(folder: &Path, name: &str) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let file = File::create(folder.join(name))?;
    file.lock()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_account_has_one_turn_at_a_time_and_others_do_not_wait() {
        let folder = tempfile::tempdir().unwrap();
        let take = |account: u8| {
            let folder = folder.path().to_owned();
            Turn::take(folder, H256([1; 32]), [account; 32])
        };
        let first = take(7).await.unwrap();
        assert!(take(8).await.is_some());
        let second = tokio::spawn(take(7));
        let held = File::open(folder.path().join(format!(
            "{:?}-{:?}",
            H256([1; 32]),
            H256([7; 32])
        )));
        assert!(held.unwrap().try_lock().is_err());
        drop(first);
        assert!(second.await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_turn_without_an_end_keeps_nobody_from_sending() {
        let folder = tempfile::tempdir().unwrap();
        let take = |patience| {
            let folder = folder.path().to_owned();
            Turn::take_within(folder, H256([1; 32]), [7; 32], patience)
        };
        let endless = take(PATIENCE).await.unwrap();
        assert!(take(Duration::from_millis(1)).await.is_none());
        // What was given up takes no turn from others.
        drop(endless);
        assert!(take(PATIENCE).await.is_some());
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_keeps_nobody_from_sending() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let folder = file.path().join("turns");
        assert!(Turn::take(folder, H256([1; 32]), [7; 32]).await.is_none());
    }
}
