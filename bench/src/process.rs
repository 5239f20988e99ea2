// SPDX-License-Identifier: Apache-2.0
//! The memory, the open files and the folder of a process.

use std::{fs, path::Path};

use anyhow::{Context, Result};

/// A figure of the resident memory of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Memory {
    /// Now.
    Resident,
    /// The most so far.
    Peak,
}

impl Memory {
    /// The figure of a process, in bytes.
    pub(crate) fn of(self, pid: u32) -> Result<u64> {
        let path = format!("/proc/{pid}/status");
        let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        self.parse(&status)
            .with_context(|| format!("{path} has no {}", self.name()))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Resident => "VmRSS:",
            Self::Peak => "VmHWM:",
        }
    }

    fn parse(self, status: &str) -> Option<u64> {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(self.name()))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        kibibytes.checked_mul(1024)
    }
}

/// The number of open file descriptors of a process.
pub(crate) fn descriptors(pid: u32) -> Result<usize> {
    let path = format!("/proc/{pid}/fd");
    let entries = fs::read_dir(&path).with_context(|| format!("cannot read {path}"))?;
    Ok(entries.count())
}

/// The bytes of all files below a folder. A database removes files at any time, so that a file that
/// is gone counts as empty.
pub(crate) fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "VmPeak:\t  9 kB\nVmHWM:\t    158720 kB\nVmRSS:\t  7 kB\n";
        assert_eq!(Memory::Peak.parse(status), Some(155 << 20));
        assert_eq!(Memory::Resident.parse(status), Some(7 << 10));
        assert_eq!(Memory::Peak.parse("VmRSS:\t  7 kB\n"), None);
    }

    #[test]
    fn this_process_has_memory_open_files_and_a_folder() {
        let pid = std::process::id();
        let [resident, peak] = [Memory::Resident, Memory::Peak].map(|memory| memory.of(pid));
        assert!(resident.unwrap() > 0);
        assert!(peak.unwrap() > 0);
        assert!(descriptors(pid).unwrap() > 0);

        let folder = std::env::temp_dir().join(format!("starling-bench-{pid}"));
        fs::create_dir_all(folder.join("inner")).unwrap();
        fs::write(folder.join("one"), [0; 10]).unwrap();
        fs::write(folder.join("inner/two"), [0; 5]).unwrap();
        let bytes = size(&folder);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(bytes, 15);
        assert_eq!(size(&folder), 0, "a folder that is gone");
    }
}
