// SPDX-License-Identifier: Apache-2.0
#![doc = include_str!("../README.md")]

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
};

/// Length of the report data, in bytes.
pub const DATA: usize = 64;

/// The interface of the kernel.
const REPORTS: &str = "sys/kernel/config/tsm/report";
/// The devices of confidential virtual machines, without which there is no interface.
const DEVICES: [&str; 2] = ["dev/tdx_guest", "dev/sev-guest"];

/// A technology that a virtual machine can ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Intel TDX.
    Tdx,
    /// AMD SEV-SNP.
    Snp,
}

/// The answer of the hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The technology.
    pub provider: Provider,
    /// The quote of TDX, or the report of SEV-SNP.
    pub bytes: Vec<u8>,
}

/// A reason why there is no quote.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine is not measured.
    #[error(
        "this machine is no confidential virtual machine: it has neither /dev/tdx_guest nor \
         /dev/sev-guest"
    )]
    NotMeasured,
    /// The kernel has a device and no interface that both technologies share.
    #[error(
        "this machine has /{0} and no /{reports}: it takes Linux 6.7 or later, configfs mounted",
        reports = REPORTS
    )]
    NoInterface(&'static str),
    /// The interface is of another technology.
    #[error("the kernel's provider `{0}` is neither tdx_guest nor sev_guest")]
    UnknownProvider(String),
    /// The answer does not name the report data.
    #[error("the hardware answered with other report data")]
    OtherData,
    /// Another program asked through the same entry.
    #[error("another program asked the hardware meanwhile: ask again")]
    Interrupted,
    /// A file of the interface cannot be used.
    #[error("{path}: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// The reason of the system.
        source: io::Error,
    },
}

/// The hardware under a root folder, which is `/` outside tests.
#[derive(Clone, Debug)]
pub struct Hardware {
    root: PathBuf,
}

impl Default for Hardware {
    fn default() -> Self {
        Self::under("/")
    }
}

impl Hardware {
    /// The hardware whose files are under `root`.
    pub fn under(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// A quote with these report data.
    ///
    /// # Errors
    /// The reason why there is none.
    pub fn quote(&self, data: &[u8; DATA]) -> Result<Quote, Error> {
        let entry = Entry::new(&self.interface()?)?;
        let quote = entry.ask(data)?;
        let is_bound = quote.bytes.windows(DATA).any(|bytes| bytes == data);
        match is_bound {
            true => Ok(quote),
            false => Err(Error::OtherData),
        }
    }

    fn interface(&self) -> Result<PathBuf, Error> {
        let reports = self.root.join(REPORTS);
        if reports.is_dir() {
            return Ok(reports);
        }
        let mut devices = DEVICES.into_iter();
        match devices.find(|device| self.root.join(device).exists()) {
            Some(device) => Err(Error::NoInterface(device)),
            None => Err(Error::NotMeasured),
        }
    }
}

/// An entry of the interface, which the kernel fills with files.
struct Entry(PathBuf);

impl Entry {
    fn new(reports: &Path) -> Result<Self, Error> {
        let path = reports.join(format!("starling-{}", process::id()));
        match fs::create_dir(&path) {
            // A process of this name was killed while it asked.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Self(path)),
            Err(source) => Err(Error::Io { path, source }),
            Ok(()) => Ok(Self(path)),
        }
    }

    fn ask(&self, data: &[u8; DATA]) -> Result<Quote, Error> {
        let path = self.0.join("inblob");
        fs::write(&path, data).map_err(|source| Error::Io { path, source })?;
        let before = self.read("generation")?;
        let provider = provider(&self.read("provider")?)?;
        let bytes = self.read("outblob")?;
        if self.read("generation")? != before {
            return Err(Error::Interrupted);
        }
        Ok(Quote { provider, bytes })
    }

    fn read(&self, file: &str) -> Result<Vec<u8>, Error> {
        let path = self.0.join(file);
        fs::read(&path).map_err(|source| Error::Io { path, source })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // The kernel takes its files away with the folder. An entry that stays does no harm.
        let _ = fs::remove_dir(&self.0);
    }
}

fn provider(name: &[u8]) -> Result<Provider, Error> {
    match name.trim_ascii() {
        b"tdx_guest" => Ok(Provider::Tdx),
        b"sev_guest" => Ok(Provider::Snp),
        other => Err(Error::UnknownProvider(other.escape_ascii().to_string())),
    }
}

#[cfg(test)]
mod tests {
    use starling_attestation::{fixtures, report_data};
    use tempfile::TempDir;

    use super::*;

    /// A device that answers every question with the same bytes.
    fn recorded(provider: &str, answer: &[u8]) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("starling-{}", process::id());
        let entry = folder.path().join(REPORTS).join(name);
        fs::create_dir_all(&entry).unwrap();
        fs::write(entry.join("provider"), provider).unwrap();
        fs::write(entry.join("generation"), "1\n").unwrap();
        fs::write(entry.join("outblob"), answer).unwrap();
        (folder, entry)
    }

    #[test]
    fn a_recorded_device_answers_with_what_the_chain_verifies() {
        let data = report_data(&fixtures::BINDING);
        for (name, provider, answer) in [
            ("tdx_guest\n", Provider::Tdx, fixtures::TDX_4),
            ("sev_guest\n", Provider::Snp, fixtures::SNP),
        ] {
            let (folder, entry) = recorded(name, answer);
            let quote = Hardware::under(folder.path()).quote(&data).unwrap();
            assert_eq!(quote.provider, provider);
            assert_eq!(quote.bytes, answer);
            assert_eq!(fs::read(entry.join("inblob")).unwrap(), data);
        }
    }

    #[test]
    fn an_answer_with_other_report_data_is_refused() {
        let (folder, _) = recorded("tdx_guest\n", fixtures::TDX_4);
        let outcome = Hardware::under(folder.path()).quote(&[9; DATA]);
        assert!(matches!(outcome, Err(Error::OtherData)));
    }

    #[test]
    fn another_provider_is_named() {
        let (folder, _) = recorded("arm_cca_guest\n", b"");
        let outcome = Hardware::under(folder.path()).quote(&[9; DATA]);
        assert!(matches!(outcome, Err(Error::UnknownProvider(name)) if name == "arm_cca_guest"));
    }

    #[test]
    fn a_machine_without_hardware_or_interface_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let hardware = Hardware::under(folder.path());
        let outcome = hardware.quote(&[9; DATA]);
        assert!(matches!(outcome, Err(Error::NotMeasured)));
        fs::create_dir(folder.path().join("dev")).unwrap();
        fs::write(folder.path().join("dev/sev-guest"), "").unwrap();
        let outcome = hardware.quote(&[9; DATA]);
        assert!(matches!(outcome, Err(Error::NoInterface("dev/sev-guest"))));
    }

    #[test]
    fn a_device_that_fails_is_named_by_its_file() {
        let (folder, entry) = recorded("tdx_guest\n", b"");
        fs::remove_file(entry.join("outblob")).unwrap();
        let outcome = Hardware::under(folder.path()).quote(&[9; DATA]);
        let Err(Error::Io { path, .. }) = outcome else {
            panic!("there is no answer");
        };
        assert_eq!(path, entry.join("outblob"));
    }
}
