// SPDX-License-Identifier: Apache-2.0
//! Shared parts of the commands: finding the store and the model, progress bars, interruption.

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use starling_console::variable;
use starling_engine::{
    adapter::Adapter,
    backend::{Backend, BackendError, DraftModel, HttpBackend, HttpConfig},
    config::Config,
    generate::Cancel,
    gguf::Gguf,
    rank::RankerKind,
    ActivationBits, Device, LoadOptions,
};
use starling_models::{is_path, sha256, Progress, Store, StoreError};
use std::{
    error::Error,
    io::{IsTerminal, Read},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

/// The error type of commands.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Exit code of a command: 0 on success, 1 on failure, 130 if the user stopped it.
pub fn exit_code(done: Result<(), Failure>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if is_interruption(&failure) => {
            eprintln!("interrupted");
            ExitCode::from(130)
        },
        Err(failure) => {
            report(&failure);
            ExitCode::FAILURE
        },
    }
}

fn report(failure: &Failure) {
    eprintln!("error: {failure}");
    let mut cause = failure.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Transparent errors repeat the text of their cause.
        if !failure.to_string().contains(&text) {
            eprintln!("  because: {text}");
        }
        cause = error.source();
    }
}

/// True if the user stopped the command.
fn is_interruption(failure: &Failure) -> bool {
    matches!(failure.downcast_ref(), Some(BackendError::Cancelled))
        || matches!(failure.downcast_ref(), Some(StoreError::Cancelled))
}

/// Location of the models.
#[derive(Args, Clone)]
pub struct StoreArgs {
    /// Folder of the model store [default: $STARLING_MODELS, else the user's data folder]
    #[arg(long, global = true, value_name = "DIR")]
    store: Option<PathBuf>,
}

impl StoreArgs {
    /// Opens the store.
    pub fn open(&self) -> Result<Store, StoreError> {
        Store::open(self.store.clone())
    }
}

/// The model to run, and how to run it.
#[derive(Args)]
pub struct ModelArgs {
    /// A model of the store by name, or the path of a GGUF file; with --endpoint, the model's name
    /// on that server
    #[arg(short, long)]
    pub model: String,
    /// Means of running the model
    #[command(flatten)]
    pub means: Means,
}

/// Means of running models.
#[derive(Args, Clone)]
pub struct Means {
    /// Device: cpu; cuda:N for an NVIDIA GPU, in programs built with the feature `cuda`; or candle,
    /// which runs the computation of cuda:N on the CPU, slowly
    #[arg(long, default_value_t, value_name = "DEVICE")]
    device: Device,
    /// Threads of the device cpu; 0 means one for each core
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
    /// Memory for key-value caches, in MiB
    #[arg(long, default_value_t = 192, value_name = "MIB")]
    cache: usize,
    /// Bits of the activations that are multiplied with quantised weights: 16, or 8 as in
    /// llama.cpp. 8 bits are faster in prefill and less exact. On a GPU, 16 expands the weights to
    /// floats and 8 keeps them packed
    #[arg(long, default_value_t, value_name = "BITS")]
    activation_bits: ActivationBits,
    /// LoRA adapter for the model: a PEFT folder, or a GGUF adapter of llama.cpp; on the device cpu
    #[arg(long, value_name = "PATH")]
    adapter: Option<PathBuf>,
    /// Take an adapter that does not say which model it is for
    #[arg(long, requires = "adapter")]
    base_unknown: bool,
    /// URL of an OpenAI-compatible server (up to and with /v1) to use instead of this machine
    #[arg(long, value_name = "URL", conflicts_with_all = ["device", "adapter"])]
    endpoint: Option<String>,
    /// Environment variable with the key for --endpoint
    #[arg(long, value_name = "VARIABLE", default_value = "OPENAI_API_KEY")]
    api_key_from: String,
    /// File with the Jinja chat template of the model at --endpoint
    #[arg(long, value_name = "FILE")]
    chat_template: Option<PathBuf>,
}

/// The path of a model of the store, or of a file.
pub fn model_path(store: &StoreArgs, model: &str) -> Result<PathBuf, Failure> {
    let as_path = Path::new(model);
    if is_path(as_path) {
        return Ok(as_path.to_owned());
    }
    Ok(store.open()?.path(model)?)
}

/// The manifest's ranker for a model; `likelihood` for files outside the manifest.
pub fn default_ranker(store: &StoreArgs, model: &str) -> RankerKind {
    let entry = store
        .open()
        .ok()
        .and_then(|store| Some(store.manifest().get(model)?.ranker));
    entry.unwrap_or(RankerKind::Likelihood)
}

impl Means {
    /// Options for loading the model file at `path`.
    pub fn load_options(&self, path: &Path) -> Result<LoadOptions, Failure> {
        let adapter = self.adapter.as_deref();
        Ok(LoadOptions {
            adapter: adapter
                .map(|adapter| self.adapter(adapter, path))
                .transpose()?,
            ..self.options()
        })
    }

    /// Options for loading a model without an adapter.
    fn options(&self) -> LoadOptions {
        LoadOptions {
            threads: self.threads,
            cache_bytes: self.cache.saturating_mul(1 << 20),
            activation_bits: self.activation_bits,
            ..LoadOptions::default()
        }
    }

    /// Loads a draft model: with the threads and the cache of the model, on the CPU, without its
    /// adapter.
    pub fn draft(&self, store: &StoreArgs, model: &str) -> Result<DraftModel, Failure> {
        let path = model_path(store, model)?;
        Ok(DraftModel::load(&path, &self.options())?)
    }

    /// Reads an adapter for the model file at `model`.
    fn adapter(&self, path: &Path, model: &Path) -> Result<Arc<Adapter>, Failure> {
        let config = Config::from_gguf(&Gguf::open(model)?)?;
        let adapter = Adapter::read(path, &config)?;
        if adapter.origin().base_sha256.is_none() {
            let path = path.display();
            if !self.base_unknown {
                return Err(format!(
                    "{path} does not say which model it is for (starling.base_sha256); pass \
                     --base-unknown if you know that it is for this one"
                )
                .into());
            }
            eprintln!("warning: {path} does not say which model it is for");
        }
        adapter.check_base(self.base_unknown, || sha256(model).map_err(Failure::from))?;
        Ok(Arc::new(adapter))
    }

    /// The chosen device.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Opens the backend for a model.
    pub fn backend(&self, store: &StoreArgs, model: &str) -> Result<Box<dyn Backend>, Failure> {
        let Some(url) = &self.endpoint else {
            let path = model_path(store, model)?;
            return Ok(self.device.load(&path, &self.load_options(&path)?)?);
        };
        let chat_template = self.chat_template.as_deref().map(read_file).transpose()?;
        let config = HttpConfig {
            api_key: variable(&self.api_key_from),
            chat_template,
            ..HttpConfig::new(url.as_str(), model)
        };
        Ok(Box::new(HttpBackend::new(config)?))
    }
}

impl ModelArgs {
    /// Opens the backend.
    pub fn backend(&self, store: &StoreArgs) -> Result<Box<dyn Backend>, Failure> {
        self.means.backend(store, &self.model)
    }

    /// Opens the backend of this machine, with a draft model.
    pub fn backend_with_draft(
        &self,
        store: &StoreArgs,
        draft: DraftModel,
    ) -> Result<Box<dyn Backend>, Failure> {
        let path = model_path(store, &self.model)?;
        let options = self.means.load_options(&path)?;
        let device = self.means.device();
        Ok(device.load_with_draft(&path, &options, draft)?)
    }
}

/// A flag that Ctrl-C sets.
pub fn cancel_on_interrupt() -> Result<Cancel, Failure> {
    let cancel = Cancel::new();
    let flag = cancel.clone();
    ctrlc::set_handler(move || flag.cancel())?;
    Ok(cancel)
}

/// Reads a text file, `-` for standard input.
pub fn read_file(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    if path.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text)?;
    } else {
        text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(text)
}

/// The bytes of hexadecimal digits, with or without 0x before them.
pub fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.strip_prefix("0x").unwrap_or(digits).as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(byte).collect()
}

/// The text of an argument, or of standard input.
pub fn text_or_stdin(text: Option<String>) -> Result<String, Failure> {
    match text {
        Some(text) => Ok(text),
        None if std::io::stdin().is_terminal() => {
            Err("no text was given; pass it as an argument or on standard input".into())
        },
        None => read_file(Path::new("-")),
    }
}

/// A bar that counts items.
pub fn item_bar(what: String, items: usize) -> ProgressBar {
    let bar = ProgressBar::new(items as u64).with_message(what);
    bar.set_style(style("{msg:40} {wide_bar} {pos}/{len} {elapsed} ETA {eta}"));
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Shows a fetch as a bar; Ctrl-C cancels it.
pub struct FetchBar {
    name: String,
    bar: ProgressBar,
    cancel: Cancel,
}

impl FetchBar {
    /// A bar for the model called `name`.
    pub fn new(name: &str, cancel: Cancel) -> Self {
        Self {
            name: name.into(),
            bar: ProgressBar::hidden(),
            cancel,
        }
    }

    /// Ends the bar.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for FetchBar {
    fn stage(&mut self, what: &str, total: Option<u64>) {
        self.bar.finish_and_clear();
        let message = format!("{}: {what}", self.name);
        if !std::io::stderr().is_terminal() {
            eprintln!("{message}");
        }
        self.bar = match total {
            Some(total) => ProgressBar::new(total).with_style(style(
                "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}",
            )),
            None => ProgressBar::new_spinner()
                .with_style(style("{spinner} {msg} {bytes} {bytes_per_sec} {elapsed}")),
        };
        self.bar.set_message(message);
    }

    fn at(&mut self, bytes: u64) -> bool {
        self.bar.set_position(bytes);
        !self.cancel.is_cancelled()
    }
}
