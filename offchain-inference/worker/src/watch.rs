// SPDX-License-Identifier: Apache-2.0

//! Notices changes of the configuration file.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::config::{Config, ConfigError};

/// A configuration file, with its time and length when it was last read.
pub struct Watch {
    path: PathBuf,
    seen: Option<(SystemTime, u64)>,
}

impl Watch {
    /// Reads the file.
    pub fn open(path: &Path) -> Result<(Self, Config), ConfigError> {
        // Looks before it reads, so that a change in between is noticed.
        let seen = look(path);
        let config = Config::load(path)?;
        let path = path.into();
        Ok((Self { path, seen }, config))
    }

    /// The new configuration, if the file has changed since the last call.
    pub fn changed(&mut self) -> Option<Result<Config, ConfigError>> {
        let now = look(&self.path);
        if now == self.seen {
            return None;
        }
        self.seen = now;
        Some(Config::load(&self.path))
    }
}

fn look(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_noticed_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        fs::write(&path, "accounts = [\"Bob\"]\n[[primary]]\nmodel = \"a\"").unwrap();
        let (mut watch, config) = Watch::open(&path).unwrap();
        assert_eq!(config.primary[0].name(), "a");
        assert!(watch.changed().is_none());
        fs::write(&path, "accounts = [\"Bob\"]\n[[primary]]\nmodel = \"abc\"").unwrap();
        assert_eq!(watch.changed().unwrap().unwrap().primary[0].name(), "abc");
        assert!(watch.changed().is_none());
        fs::write(&path, "nonsense").unwrap();
        assert!(watch.changed().unwrap().is_err());
        assert!(watch.changed().is_none());
        fs::remove_file(&path).unwrap();
        assert!(watch.changed().unwrap().is_err());
        assert!(Watch::open(&path).is_err());
    }
}
