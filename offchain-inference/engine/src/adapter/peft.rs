// SPDX-License-Identifier: Apache-2.0
//! PEFT's folders: `adapter_config.json` and `adapter_model.safetensors`.

use std::{
    borrow::Cow,
    collections::HashMap,
    ffi::OsString,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, View};

use super::{
    gguf::PICKLED,
    halves::{Collected, Tensor},
    names, refused,
    settings::{self, Settings},
    sha256, Adapter, Origin, Reason, RowOrder,
};
use crate::{kernels::Buffer, Error, Result};

const WEIGHTS: &str = "adapter_model.safetensors";

/// PEFT's other file of weights.
const PICKLE: &str = "adapter_model.bin";

/// The longest header: adapters of the largest models have some thousand tensors.
const MAX_HEADER: u64 = 8 << 20;

const BASE: &str = "starling.base_sha256";
const JOB: &str = "starling.job";
const STEP: &str = "starling.step";

pub(super) fn read(folder: &Path) -> Reason<Adapter> {
    let settings = Settings::read(folder)?;
    let path = folder.join(WEIGHTS);
    if !path.exists() && folder.join(PICKLE).exists() {
        return Err(format!("{PICKLE}: {PICKLED}"));
    }
    let bytes = load(&path).map_err(|reason| format!("{WEIGHTS}: {reason}"))?;
    weights(&bytes, settings).map_err(|reason| format!("{WEIGHTS}: {reason}"))
}

/// All bytes of a file whose header is not too long.
fn load(path: &Path) -> Reason<Buffer<u8>> {
    let failed = |error: io::Error| error.to_string();
    let mut file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut start = [0; 8];
    file.read_exact(&mut start).map_err(failed)?;
    let header = u64::from_le_bytes(start);
    if header > MAX_HEADER {
        return Err(format!(
            "a header of {header} bytes; at most {MAX_HEADER} are read"
        ));
    }
    let length = usize::try_from(length).map_err(|error| error.to_string())?;
    let mut bytes = Buffer::<u8>::zeroed(length).map_err(|error| error.to_string())?;
    let (front, rest) = bytes
        .split_at_mut_checked(start.len())
        .ok_or("it is too short")?;
    front.copy_from_slice(&start);
    file.read_exact(rest).map_err(failed)?;
    Ok(bytes)
}

/// The JSON text at the start of a file that safetensors has checked.
fn header(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)
}

fn weights(bytes: &[u8], settings: Settings) -> Reason<Adapter> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    // Of a name that comes twice the library takes the last.
    settings::check_keys(header(bytes).unwrap_or_default())?;
    let mut collected = Collected::default();
    let mut tensors = file.tensors();
    tensors.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    for (name, view) in tensors {
        let found = names::of_peft(&name)?;
        let &[rows, columns] = view.shape() else {
            let shape = view.shape();
            return Err(format!(
                "tensor {name} has shape {shape:?}; two dimensions are needed"
            ));
        };
        if rows == 0 || columns == 0 {
            return Err(format!("tensor {name} is {rows} × {columns}"));
        }
        let values = values(view.dtype(), view.data());
        let values = values.map_err(|reason| format!("tensor {name} {reason}"))?;
        let tensor = Tensor {
            name: name.clone(),
            rows,
            columns,
            values,
        };
        collected.add(&found, tensor)?;
    }
    let every_layer = settings.check_targets(collected.paths())?;
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    Ok(Adapter {
        pairs: collected.pairs(|path, rank| settings.alpha(path, rank))?,
        rank_stabilised: settings.rank_stabilised,
        every_layer,
        rows: RowOrder::Halves,
        origin: origin(metadata.metadata().as_ref(), settings.base_model)?,
    })
}

fn values(dtype: Dtype, bytes: &[u8]) -> Reason<Vec<f32>> {
    let pairs = || bytes.as_chunks::<2>().0.iter().copied();
    Ok(match dtype {
        Dtype::F32 => {
            let fours = bytes.as_chunks::<4>().0.iter();
            fours.map(|four| f32::from_le_bytes(*four)).collect()
        },
        Dtype::F16 => pairs()
            .map(|two| f16::from_le_bytes(two).to_f32())
            .collect(),
        Dtype::BF16 => pairs()
            .map(|two| bf16::from_le_bytes(two).to_f32())
            .collect(),
        other => return Err(format!("is of type {other}; F32, F16 and BF16 are read")),
    })
}

fn origin(
    metadata: Option<&HashMap<String, String>>,
    base_model: Option<String>,
) -> Reason<Origin> {
    let text = |key: &str| metadata.and_then(|metadata| metadata.get(key));
    let step = |text: &String| {
        text.parse()
            .map_err(|_| format!("{STEP} is {text:?}, not a number of steps"))
    };
    Ok(Origin {
        base_model,
        base_sha256: text(BASE).map(|text| sha256(BASE, text)).transpose()?,
        job: text(JOB).cloned(),
        step: text(STEP).map(step).transpose()?,
    })
}

/// A matrix of f32 for the library's writer.
struct Floats<'a> {
    shape: [usize; 2],
    values: &'a [f32],
}

impl View for &Floats<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let bytes = self.values.iter().flat_map(|value| value.to_le_bytes());
        bytes.collect::<Vec<_>>().into()
    }

    fn data_len(&self) -> usize {
        size_of_val(self.values)
    }
}

/// Writes the folder aside, reads it back, and gives it its name.
pub(super) fn write(adapter: &Adapter, folder: &Path) -> Result<()> {
    let failed = |source| Error::Write {
        path: folder.to_owned(),
        source,
    };
    if folder.symlink_metadata().is_ok() {
        return Err(failed(io::Error::other("it is there already")));
    }
    let aside = aside(folder).map_err(failed)?;
    fs::create_dir(&aside).map_err(failed)?;
    let written = write_files(adapter, &aside)
        .map_err(failed)
        .and_then(|()| check_written(adapter, folder, &aside))
        .and_then(|()| fs::rename(&aside, folder).map_err(failed));
    if written.is_err() {
        // Removed or never made: either way it is gone.
        let _ = fs::remove_dir_all(&aside);
    }
    written
}

fn aside(folder: &Path) -> io::Result<PathBuf> {
    let name = folder
        .file_name()
        .ok_or_else(|| io::Error::other("it has no name"))?;
    let mut aside = OsString::from(".");
    aside.push(name);
    aside.push(format!(".{}.partial", std::process::id()));
    Ok(folder.with_file_name(aside))
}

fn write_files(adapter: &Adapter, folder: &Path) -> io::Result<()> {
    let mut tensors = Vec::new();
    for (layer, target, pair) in adapter.pairs() {
        let name = |half: &str| {
            let module = target.module();
            format!("base_model.model.model.layers.{layer}.{module}.lora_{half}.weight")
        };
        let matrix = |shape, values| Floats { shape, values };
        tensors.push((name("A"), matrix([pair.rank, pair.inputs], &pair.a)));
        tensors.push((name("B"), matrix([pair.outputs, pair.rank], &pair.b)));
    }
    let origin = &adapter.origin;
    let metadata = [
        ("format", Some("pt".to_owned())),
        (BASE, origin.base_sha256.clone()),
        (JOB, origin.job.clone()),
        (STEP, origin.step.map(|step| step.to_string())),
    ];
    let metadata = metadata
        .into_iter()
        .filter_map(|(key, text)| Some((key.to_owned(), text?)));
    let tensors = tensors.iter().map(|(name, matrix)| (name, matrix));
    let weights = safetensors::serialize(tensors, Some(metadata.collect()));
    let weights = weights.map_err(|error| io::Error::other(error.to_string()))?;
    let settings = serde_json::to_vec_pretty(&settings::of(adapter))?;
    for (name, bytes) in [(WEIGHTS, weights), (settings::FILE, settings)] {
        let mut file = File::create_new(folder.join(name))?;
        file.write_all(&bytes)?;
        file.sync_all()?;
    }
    Ok(())
}

/// Fails unless a reader finds this adapter in the folder.
fn check_written(adapter: &Adapter, folder: &Path, aside: &Path) -> Result<()> {
    let written = read(aside).map_err(|reason| refused(folder, reason))?;
    match written == *adapter {
        true => Ok(()),
        false => Err(refused(
            folder,
            "the written folder reads differently".into(),
        )),
    }
}
