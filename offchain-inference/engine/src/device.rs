// SPDX-License-Identifier: Apache-2.0
//! The device that a model runs on.

use std::{fmt, path::Path, str::FromStr};

use serde::Deserialize;

use crate::{
    backend::{Backend, BackendError, DraftModel, LocalBackend},
    Error, LoadOptions, Result,
};

/// A device that computes a model.
///
/// As text, in command lines and configurations: `cpu`, `candle`, `cuda:N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum Device {
    /// The engine's own kernels.
    #[default]
    Cpu,
    /// candle's kernels on the CPU: the computation of [`Device::Cuda`] without a GPU. Slow; to
    /// compare.
    Candle,
    /// An NVIDIA GPU, by its number; needs the feature `cuda`.
    Cuda(usize),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Candle => f.write_str("candle"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let number = |name: &str| name.parse().ok().map(Self::Cuda);
        match name {
            "cpu" => Some(Self::Cpu),
            "candle" => Some(Self::Candle),
            "cuda" => Some(Self::Cuda(0)),
            _ => name.strip_prefix("cuda:").and_then(number),
        }
        .ok_or_else(|| format!("no device is called {name:?} (cpu, candle, cuda:N)"))
    }
}

impl TryFrom<String> for Device {
    type Error = String;

    fn try_from(name: String) -> std::result::Result<Self, String> {
        name.parse()
    }
}

impl Device {
    /// candle's device of this name; `None`: the engine computes without candle.
    pub fn of_candle(self) -> Result<Option<candle_core::Device>> {
        match self {
            Self::Cpu => Ok(None),
            Self::Candle => Ok(Some(candle_core::Device::Cpu)),
            Self::Cuda(_) if !cfg!(feature = "cuda") => Err(Error::Device {
                device: self,
                reason: "this program was built without the feature `cuda`".into(),
            }),
            Self::Cuda(number) => match candle_core::Device::new_cuda(number) {
                Ok(device) => Ok(Some(device)),
                Err(error) => Err(Error::Device {
                    device: self,
                    reason: error.to_string(),
                }),
            },
        }
    }

    /// Loads the model file at `path`.
    pub fn load(
        self,
        path: &Path,
        options: &LoadOptions,
    ) -> std::result::Result<Box<dyn Backend>, BackendError> {
        Ok(match self.of_candle()? {
            None => Box::new(LocalBackend::load(path, options)?),
            Some(device) => Box::new(LocalBackend::load_on(&device, path, options)?),
        })
    }

    /// Loads the model file at `path` with a draft model, which runs on the CPU.
    pub fn load_with_draft(
        self,
        path: &Path,
        options: &LoadOptions,
        draft: DraftModel,
    ) -> std::result::Result<Box<dyn Backend>, BackendError> {
        Ok(match self.of_candle()? {
            None => Box::new(LocalBackend::load(path, options)?.with_draft(draft)?),
            Some(device) => {
                Box::new(LocalBackend::load_on(&device, path, options)?.with_draft(draft)?)
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for device in [
            Device::Cpu,
            Device::Candle,
            Device::Cuda(0),
            Device::Cuda(7),
        ] {
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
        }
        assert_eq!("cuda".parse::<Device>().unwrap(), Device::Cuda(0));
        for unknown in ["", "gpu", "cuda:", "cuda:-1", "cuda:x"] {
            assert!(unknown.parse::<Device>().is_err(), "{unknown}");
        }
    }
}
