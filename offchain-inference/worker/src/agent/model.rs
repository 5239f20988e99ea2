// SPDX-License-Identifier: Apache-2.0

//! A model, loaded when it is first needed and again after it failed.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::Mutex;
use starling_engine::{
    backend::{Backend, HttpBackend, HttpConfig, LocalBackend},
    Device, LoadOptions,
};
use starling_shards::{PipelineConfig, Service};

use crate::{
    config::{Config, Primary},
    file::ModelFile,
};

/// Where a model is and how it is run. Models with equal specifications are loaded once.
#[derive(Clone, Debug, PartialEq)]
pub struct Specification {
    source: Source,
    device: Device,
    threads: usize,
    cache_bytes: usize,
    niceness: u8,
}

#[derive(Clone, Debug, PartialEq)]
enum Source {
    File(ModelFile),
    /// Of this file only the ends are loaded; other nodes compute the layers.
    Shards(ModelFile, PipelineConfig),
    Endpoint {
        url: String,
        model: String,
        api_key_env: Option<String>,
        chat_template: Option<PathBuf>,
        context: Option<usize>,
        timeout: Option<Duration>,
    },
}

impl Specification {
    /// The model of a primary module; `None` for an expert system.
    pub fn of(config: &Config, primary: &Primary) -> Option<Self> {
        let source = match (&primary.model, &primary.url) {
            (Some(model), Some(url)) => Source::Endpoint {
                url: url.clone(),
                model: model.clone(),
                api_key_env: primary.api_key_env.clone(),
                chat_template: primary.chat_template.clone(),
                context: primary.context,
                timeout: primary.timeout_ms.map(Duration::from_millis),
            },
            _ => {
                let file = primary.file(&config.store)?;
                match primary.shards {
                    true => Source::Shards(file, config.shards.pipeline(primary.wire)),
                    false => Source::File(file),
                }
            },
        };
        let default = LoadOptions::default().cache_bytes;
        Some(Self {
            source,
            device: primary.device,
            threads: config.threads,
            cache_bytes: primary
                .cache_mib
                .map_or(default, |mib| mib.saturating_mul(1 << 20)),
            niceness: config.niceness,
        })
    }

    /// The model's name in the store, if it is from there.
    pub fn store_name(&self) -> Option<&str> {
        match &self.source {
            Source::File(file) | Source::Shards(file, _) => file.store_name(),
            Source::Endpoint { .. } => None,
        }
    }

    fn load(&self, shards: Option<&Service>) -> Result<Arc<dyn Backend>, String> {
        let options = LoadOptions {
            threads: self.threads,
            cache_bytes: self.cache_bytes,
            ..LoadOptions::default()
        };
        match &self.source {
            Source::File(file) => {
                let backend = self.device.load(&file.path()?, &options);
                Ok(Arc::from(backend.map_err(|error| error.to_string())?))
            },
            Source::Shards(file, pipeline) => {
                let service = shards.ok_or("this node uses no shards of other nodes")?;
                let model = file.id()?;
                let connect = |ends| service.pipeline(model, ends, pipeline.clone());
                let backend = LocalBackend::load_ends(&file.path()?, &options, connect);
                Ok(Arc::new(backend.map_err(|error| error.to_string())?))
            },
            Source::Endpoint {
                url,
                model,
                api_key_env,
                chat_template,
                context,
                timeout,
            } => {
                let mut config = HttpConfig::new(url, model);
                if let Some(variable) = api_key_env {
                    let key = std::env::var(variable);
                    config.api_key = Some(
                        key.map_err(|_| format!("the environment has no variable {variable}"))?,
                    );
                }
                if let Some(path) = chat_template {
                    let template = fs::read_to_string(path);
                    config.chat_template =
                        Some(template.map_err(|error| format!("{}: {error}", path.display()))?);
                }
                config.context_length = *context;
                config.timeout = timeout.unwrap_or(config.timeout);
                let backend = HttpBackend::new(config).map_err(|error| error.to_string())?;
                backend.check().map_err(|error| error.to_string())?;
                Ok(Arc::new(backend))
            },
        }
    }
}

/// A model that is loaded, or will be.
pub struct Model {
    specification: Specification,
    shards: Option<Arc<Service>>,
    backend: Mutex<Option<Arc<dyn Backend>>>,
}

impl Model {
    /// Does not load it yet. `shards` reaches what other nodes hold.
    pub fn new(specification: Specification, shards: Option<Arc<Service>>) -> Self {
        Self {
            specification,
            shards,
            backend: Mutex::default(),
        }
    }

    /// Where it is and how it is run.
    pub fn specification(&self) -> &Specification {
        &self.specification
    }

    /// The model, after loading it, or connecting to its endpoint, if need be.
    pub fn backend(&self) -> Result<Arc<dyn Backend>, String> {
        let mut backend = self.backend.lock();
        if let Some(loaded) = &*backend {
            return Ok(loaded.clone());
        }
        let loaded = self.specification.load(self.shards.as_deref())?;
        Ok(backend.insert(loaded).clone())
    }

    /// Forgets the model after it failed: the next use loads it anew.
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
        let specification = Specification {
            source: Source::File(ModelFile::File {
                path: path.clone(),
                sha256: empty.into(),
                of: None,
            }),
            device: Device::Cpu,
            threads: 1,
            cache_bytes: 1 << 20,
            niceness: 0,
        };
        let model = Model::new(specification, None);
        let error = || model.backend().err().unwrap();
        assert!(error().contains("cannot read"), "{}", error());
        fs::write(&path, "x").unwrap();
        assert!(error().contains("SHA-256"), "{}", error());
        fs::write(&path, "").unwrap();
        // The right file at last; that it is no model is another matter.
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
