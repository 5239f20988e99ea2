// SPDX-License-Identifier: Apache-2.0
//! A runtime is compiled only once, however often a node starts with it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Result;
use starling_tests::node::{raw_specification, run};

#[tokio::test]
async fn the_second_start_takes_what_the_first_one_compiled() -> Result<()> {
    let base = tempfile::tempdir()?;
    let chain = raw_specification("dev").await?;
    let mut compiled = vec![];
    for _ in 0..2 {
        let base = base.path();
        let outcome = run([
            "export-state".as_ref(),
            "--chain".as_ref(),
            chain.as_os_str(),
            "--base-path".as_ref(),
            base.as_os_str(),
        ])
        .await?;
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        compiled.push(modules(&base.join("chains/starling_dev/runtimes"))?);
    }
    assert!(!compiled[0].is_empty(), "nothing was kept");
    assert_eq!(compiled[0], compiled[1], "it was compiled again");
    Ok(())
}

/// The compiled modules below `path`, with the times of their last write.
fn modules(path: &Path) -> Result<BTreeMap<PathBuf, SystemTime>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let path = entry.path();
        if path.is_dir() {
            found.append(&mut modules(&path)?);
        } else if path.extension().is_none() {
            // Beside each module `NAME` lies `NAME.stats` with data about its use.
            found.insert(path, entry.metadata()?.modified()?);
        }
    }
    Ok(found)
}
