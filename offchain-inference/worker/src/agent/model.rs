// SPDX-License-Identifier: Apache-2.0

//! A model, loaded on its first use and again after it failed.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use starling_engine::{
    adapter::Adapter,
    backend::{Backend, DraftModel, HttpBackend, HttpConfig, LocalBackend},
    config::Config as ModelConfig,
    gguf::Gguf,
    LoadOptions,
};
use starling_shards::{PipelineConfig, Service};
use starling_sketch::{trace::Numerics, Hash};

use crate::{
    config::{Config, Draft, Endpoint, Means, Primary, Sha256, Size, Source},
    file::ModelFile,
};

/// The place of a model and its settings. Models with equal specifications are loaded once.
#[derive(Clone, Debug, PartialEq)]
pub struct Specification {
    place: Place,
    threads: usize,
    niceness: u8,
}

/// The place where a model is computed.
#[derive(Clone, Debug, PartialEq)]
enum Place {
    /// On this node.
    Here { file: ModelFile, means: Means },
    /// Its layers are on other nodes; only its ends and `own_layers` are loaded from the file.
    Pipeline {
        file: ModelFile,
        pipeline: PipelineConfig,
        own_layers: usize,
        cache: Option<Size>,
        draft: Option<Draft>,
        /// Folder of the store, for the draft model.
        store: Option<PathBuf>,
    },
    /// Behind an endpoint.
    Endpoint(Endpoint),
}

impl Specification {
    /// The model of a primary module; `None` for patterns.
    pub fn of(config: &Config, primary: &Primary) -> Option<Self> {
        let here = |file, means| Place::Here { file, means };
        let place = match primary.source.clone() {
            Source::Patterns(_) => return None,
            Source::Store(store) => {
                let folder = config.store.clone();
                let name = store.model;
                here(ModelFile::Store { name, folder }, store.means)
            },
            Source::File(file) => {
                let (path, sha256, of) = (file.path, file.sha256, None);
                here(ModelFile::File { path, sha256, of }, file.means)
            },
            Source::Shards(shards) => Place::Pipeline {
                file: shards.weights.file(config.store.as_deref()),
                pipeline: config.shards.pipeline(shards.wire),
                own_layers: shards.own_layers,
                cache: shards.cache,
                draft: shards.draft,
                store: config.store.clone(),
            },
            Source::Endpoint(endpoint) => Place::Endpoint(endpoint),
        };
        Some(Self {
            place,
            threads: config.threads,
            niceness: config.niceness.get(),
        })
    }

    /// The name of the model in the store; `None` for a model from elsewhere.
    pub fn store_name(&self) -> Option<&str> {
        match &self.place {
            Place::Here { file, .. } | Place::Pipeline { file, .. } => file.store_name(),
            Place::Endpoint(_) => None,
        }
    }

    /// The SHA-256 of the model and the widths of its computation, if others can compute its answers
    /// again: the whole model is on this node, and no adapter changes it. Rows between nodes may be
    /// rounded by their wire format, for which there are no thresholds.
    pub fn traced_as(&self) -> Option<(Hash, Numerics)> {
        match &self.place {
            Place::Here { file, means } if means.adapter.is_none() => {
                Some((file.id().ok()?, Numerics::Wide))
            },
            Place::Here { .. } | Place::Pipeline { .. } | Place::Endpoint(_) => None,
        }
    }

    fn load(&self, shards: Option<&Service>) -> Result<Arc<dyn Backend>, String> {
        match &self.place {
            Place::Here { file, means } => {
                let path = file.path()?;
                let adapter = means.adapter.as_deref();
                let adapter = adapter
                    .map(|adapter| read_adapter(adapter, means.base_unknown, file, &path))
                    .transpose();
                let options = LoadOptions {
                    adapter: adapter.map_err(|error| error.to_string())?.map(Arc::new),
                    ..self.options(means.cache)
                };
                let backend = means.device.load(&path, &options);
                Ok(Arc::from(backend.map_err(|error| error.to_string())?))
            },
            Place::Pipeline {
                file,
                pipeline,
                own_layers,
                cache,
                draft,
                store,
            } => {
                let service = shards.ok_or("this node does not use the layers of other nodes")?;
                let model = file.id()?;
                let connect = |ends| service.pipeline(model, ends, pipeline.clone());
                let path = file.path()?;
                let options = self.options(*cache);
                let options = match own_layers {
                    0 => options,
                    own => with_own_layers(&path, *own, options)?,
                };
                let backend = LocalBackend::load_ends(&path, &options, connect);
                let backend = backend.map_err(|error| error.to_string())?;
                let Some(draft) = draft else {
                    return Ok(Arc::new(backend));
                };
                let draft = self.draft(draft, store.clone())?;
                let backend = backend.with_draft(draft);
                Ok(Arc::new(backend.map_err(|error| error.to_string())?))
            },
            Place::Endpoint(endpoint) => {
                let backend = connect(endpoint)?;
                backend.check().map_err(|error| error.to_string())?;
                Ok(Arc::new(backend))
            },
        }
    }

    /// Loads a draft model; `store` is the folder of the store.
    fn draft(&self, draft: &Draft, store: Option<PathBuf>) -> Result<DraftModel, String> {
        let path = match draft.clone() {
            Draft::File(path) => path,
            Draft::Store(name) => {
                let folder = store;
                ModelFile::Store { name, folder }.path()?
            },
        };
        let draft = DraftModel::load(&path, &self.options(None));
        draft.map_err(|error| error.to_string())
    }

    fn options(&self, cache: Option<Size>) -> LoadOptions {
        let default = LoadOptions::default();
        LoadOptions {
            threads: self.threads,
            cache_bytes: cache.map_or(default.cache_bytes, |Size(bytes)| bytes),
            ..default
        }
    }
}

/// Tokens of a sequence for which a cache of a node's own layers must have room.
const LEAST_POSITIONS: usize = 1_024;

/// Options that load the first `own` layers of the model file at `path`. Fails if they leave none
/// to others, or if their caches have no room for one sequence.
fn with_own_layers(path: &Path, own: usize, options: LoadOptions) -> Result<LoadOptions, String> {
    let gguf = Gguf::open(path).map_err(|error| error.to_string())?;
    let model = ModelConfig::from_gguf(&gguf).map_err(|error| error.to_string())?;
    if own >= model.layers {
        return Err(format!(
            "own_layers = {own}, but the model has {} layers: fewer leave some to others, and a \
             module without `shards` computes all of them",
            model.layers
        ));
    }
    let positions = model.context.min(LEAST_POSITIONS);
    // Keys and values of 16 bits.
    let needed = [
        2,
        own,
        model.kv_heads,
        model.head_width,
        size_of::<u16>(),
        positions,
    ];
    let needed = needed.into_iter().fold(1, usize::saturating_mul);
    if needed > options.cache_bytes {
        return Err(format!(
            "own_layers = {own} needs a `cache` of at least {} KiB, for {positions} tokens, but it has \
             {} KiB",
            needed.div_ceil(1 << 10),
            options.cache_bytes >> 10
        ));
    }
    Ok(LoadOptions {
        layers: Some(0..own),
        ..options
    })
}

/// An adapter of the model `file`, which lies at `model`.
fn read_adapter(
    path: &Path,
    base_unknown: bool,
    file: &ModelFile,
    model: &Path,
) -> Result<Adapter, Box<dyn Error>> {
    let config = ModelConfig::from_gguf(&Gguf::open(model)?)?;
    let adapter = Adapter::read(path, &config)?;
    adapter.check_base::<Box<dyn Error>>(base_unknown, || Ok(Sha256(file.id()?).to_string()))?;
    Ok(adapter)
}

/// The backend of an endpoint, with its key and its template.
fn connect(endpoint: &Endpoint) -> Result<HttpBackend, String> {
    let mut config = HttpConfig::new(&endpoint.url, &endpoint.model);
    config.api = endpoint.api;
    if let Some(variable) = &endpoint.api_key_env {
        let key = std::env::var(variable);
        let key = key.ok().filter(|key| !key.is_empty());
        let missing = || format!("the environment has no variable {variable}, or an empty one");
        config.api_key = Some(key.ok_or_else(missing)?);
    }
    if let Some(path) = &endpoint.chat_template {
        let template = fs::read_to_string(path);
        let template = template.map_err(|error| format!("{}: {error}", path.display()))?;
        config.chat_template = Some(template);
    }
    config.context_length = endpoint.context;
    if let Some(timeout) = endpoint.timeout {
        config.timeout = timeout.0;
    }
    HttpBackend::new(config).map_err(|error| error.to_string())
}

/// A model that is loaded on its first use.
pub struct Model {
    specification: Specification,
    shards: Option<Arc<Service>>,
    backend: Mutex<Option<Arc<dyn Backend>>>,
}

impl Model {
    /// A model that is not loaded yet. `shards` reaches the layers of other nodes.
    pub fn new(specification: Specification, shards: Option<Arc<Service>>) -> Self {
        Self {
            specification,
            shards,
            backend: Mutex::default(),
        }
    }

    /// The place of the model and its settings.
    pub fn specification(&self) -> &Specification {
        &self.specification
    }

    /// The model; loads it or connects to its endpoint if necessary.
    pub fn backend(&self) -> Result<Arc<dyn Backend>, String> {
        let mut backend = self.backend.lock();
        if let Some(loaded) = &*backend {
            return Ok(loaded.clone());
        }
        let loaded = self.specification.load(self.shards.as_deref())?;
        Ok(backend.insert(loaded).clone())
    }

    /// Drops the model after a failure, so that the next use loads it again.
    pub fn unload(&self) {
        *self.backend.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_not_what_it_should_be_is_not_loaded_until_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let config: Config = toml::from_str(&format!(
            "threads = 1\n[[primary]]\npath = {path:?}\nsha256 = {empty:?}\ncache = \"1 MiB\""
        ))
        .unwrap();
        let specification = Specification::of(&config, &config.primary[0]).unwrap();
        let model = Model::new(specification, None);
        let error = || model.backend().err().unwrap();
        assert!(error().contains("cannot read"), "{}", error());
        fs::write(&path, "x").unwrap();
        assert!(error().contains("SHA-256"), "{}", error());
        fs::write(&path, "").unwrap();
        // The right file at last; it fails later because it is no model.
        assert!(error().contains("GGUF"), "{}", error());
    }

    #[test]
    fn a_key_that_is_not_in_the_environment_is_named() {
        let config: Config = toml::from_str(
            "[[primary]]\nurl = \"http://127.0.0.1:1/v1\"\nmodel = \"m\"\n\
             api_key_env = \"STARLING_TEST_NO_SUCH_VARIABLE\"",
        )
        .unwrap();
        let specification = Specification::of(&config, &config.primary[0]).unwrap();
        let error = Model::new(specification, None).backend().err().unwrap();
        assert!(error.contains("STARLING_TEST_NO_SUCH_VARIABLE"), "{error}");
    }
}
