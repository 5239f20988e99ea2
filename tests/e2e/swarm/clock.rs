// SPDX-License-Identifier: Apache-2.0
//! A validator with a wrong clock, by libfaketime.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{
    complete,
    honest::{experts, FEE},
    Swarm,
};

/// Error of the clock in seconds, far above the time that blocks travel.
const WRONG: i64 = 8;

/// Environment variables that shift a process's clock by the content of a file.
fn faked(offset: &Path) -> Result<Vec<(&'static str, OsString)>> {
    let libraries = fs::read_dir("/usr/lib")?
        .filter_map(Result::ok)
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    let library: PathBuf = libraries
        .into_iter()
        .find(|library| library.exists())
        .context("missing: libfaketime; on Debian and Ubuntu: apt-get install faketime")?;
    Ok(vec![
        ("LD_PRELOAD", library.into()),
        ("FAKETIME_TIMESTAMP_FILE", offset.into()),
        ("FAKETIME_CACHE_DURATION", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ("NO_FAKE_STAT", "1".into()),
    ])
}

#[tokio::test]
async fn a_validator_whose_clock_is_wrong_says_so_and_is_back_when_it_is_right() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let offset = folder.path().join("offset");
    // Writes at once: the node must not read half of it.
    let set = |seconds: i64| {
        let new = offset.with_extension("new");
        fs::write(&new, format!("{seconds:+}s"))?;
        fs::rename(&new, &offset)
    };
    set(0)?;
    let mut swarm = Swarm::start(experts()).await?;
    swarm.kill(3).await?;
    let dave = swarm.validators.get_mut(3).context("there are four")?;
    dave.variables = faked(&offset)?;
    swarm.restart(3).await?;

    let dave = swarm.validators[3].node()?;
    let again = ["the clock of this machine agrees"];
    let wrong = |how| ["the clock of this machine is about", how];
    let offsets = [(-WRONG, wrong("s behind")), (WRONG, wrong("s ahead"))];
    for (before, (offset, wrong)) in offsets.into_iter().enumerate() {
        set(offset)?;
        dave.logged(&wrong).await?;
        // The others do not need this validator, and it needs no restart.
        set(0)?;
        dave.logged_times(&again, before + 1).await?;
        assert_eq!(dave.log_count(&wrong), 1);
    }

    let id = swarm.ask("What is a starling?", FEE).await?;
    let (_, view) = swarm.ended(id).await?;
    complete(&view, 4)
}
