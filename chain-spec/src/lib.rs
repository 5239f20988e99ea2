// SPDX-License-Identifier: Apache-2.0
//! The chain specifications of Starling: names, properties and genesis presets of each chain.
//!
//! A specification consists of a runtime and one of its presets
//! ([`starling_runtime::genesis_config_presets`]). The files in this crate's folder are
//! [`Chain::specification`] of each [`Chain::RELEASED`] as JSON, without the runtime
//! ([`to_template`]). [`from_file`] adds the runtime.

pub mod finality;

use std::{fs, path::Path};

use finality::Extensions;
use sc_chain_spec::{ChainSpecBuilder, ChainType, GenericChainSpec, Properties};
use serde_json::Value;
use starling_runtime::{genesis_config_presets as presets, TOKEN_DECIMALS, TOKEN_SYMBOL};

/// A chain specification with the extensions of this chain.
pub type ChainSpec = GenericChainSpec<Extensions>;

/// The chains with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// One node, Alice, that authors and finalises alone.
    Development,
    /// Four validators with well-known keys on one machine.
    Local,
    /// A template without any key, for an operator to fill in.
    Testnet,
}

impl Chain {
    /// Every chain.
    pub const ALL: [Chain; 3] = [Chain::Development, Chain::Local, Chain::Testnet];
    /// The chains whose specifications are in this repository, without their runtime.
    pub const RELEASED: [Chain; 2] = [Chain::Local, Chain::Testnet];

    /// The name that selects the chain in `--chain`.
    pub fn name(self) -> &'static str {
        match self {
            Chain::Development => "dev",
            Chain::Local => "local",
            Chain::Testnet => "testnet",
        }
    }

    /// The chain called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|chain| chain.name() == name)
    }

    /// The chain's specification, with the runtime that this crate was built with. Its preset is that
    /// of the native code, so that nobody compiles the runtime to read it.
    ///
    /// # Errors
    /// Fails if the crate was built without the WebAssembly runtime (`SKIP_WASM_BUILD`).
    pub fn specification(self) -> Result<ChainSpec, String> {
        let preset = presets::get_preset(&self.preset().into());
        let preset = preset.ok_or_else(|| format!("there is no preset '{}'", self.preset()))?;
        let patch = serde_json::from_slice(&preset).map_err(|error| error.to_string())?;
        let builder = self.builder(runtime()?);
        Ok(builder.with_genesis_config_patch(patch).build())
    }

    /// The chain's specification with the runtime `code`, whose preset makes the genesis.
    pub fn specification_on(self, code: &[u8]) -> ChainSpec {
        let builder = self.builder(code);
        builder
            .with_genesis_config_preset_name(self.preset())
            .build()
    }

    /// The name of the runtime's preset with the chain's genesis.
    pub fn preset(self) -> &'static str {
        match self {
            Chain::Development => presets::DEVELOPMENT,
            Chain::Local => presets::LOCAL_TESTNET,
            Chain::Testnet => presets::TESTNET,
        }
    }

    /// A specification with everything but the genesis.
    fn builder(self, code: &[u8]) -> ChainSpecBuilder<Extensions> {
        let (name, id, kind) = match self {
            Chain::Development => (
                "Starling Development",
                "starling_dev",
                ChainType::Development,
            ),
            Chain::Local => ("Starling Local", "starling_local", ChainType::Local),
            Chain::Testnet => ("Starling Testnet", "starling_testnet", ChainType::Live),
        };
        ChainSpec::builder(code, Extensions::default())
            .with_name(name)
            .with_id(id)
            .with_chain_type(kind)
            .with_protocol_id(id)
            .with_properties(properties())
    }
}

fn properties() -> Properties {
    let mut properties = Properties::new();
    properties.insert("ss58Format".into(), 42.into());
    properties.insert("tokenDecimals".into(), TOKEN_DECIMALS.into());
    properties.insert("tokenSymbol".into(), TOKEN_SYMBOL.into());
    properties
}

/// Writes `specification` as JSON with a newline at its end.
///
/// # Errors
/// Fails if the runtime refuses to build the genesis state.
pub fn to_json(specification: &ChainSpec, raw: bool) -> Result<String, String> {
    let mut json = specification.as_json(raw)?;
    json.push('\n');
    Ok(json)
}

/// Writes `specification` as plain JSON without its runtime: the text of a file in this repository.
///
/// # Errors
/// Fails if the runtime does not know the preset.
pub fn to_template(specification: &ChainSpec) -> Result<String, String> {
    let json = to_json(specification, false)?;
    let whole: Value = serde_json::from_str(&json).map_err(|error| error.to_string())?;
    let code = whole
        .pointer(CODE)
        .and_then(Value::as_str)
        .ok_or("the specification has no code")?;
    Ok(json.replace(code, NO_CODE))
}

/// Reads the specification in the file `path`. If it has no runtime, it gets the one of this build.
///
/// # Errors
/// Fails if the file cannot be read or is no specification, if neither it nor this build has a
/// runtime, or if one of its finality forks is malformed.
pub fn from_file(path: &Path) -> Result<ChainSpec, String> {
    let mut json = fs::read(path).map_err(|error| error.to_string())?;
    let mut whole: Value = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    if let Some(code) = whole.pointer_mut(CODE).filter(|code| *code == NO_CODE) {
        let runtime = runtime()?;
        *code = sp_core::bytes::to_hex(runtime, false).into();
        json = serde_json::to_vec(&whole).map_err(|error| error.to_string())?;
    }
    let specification = ChainSpec::from_json_bytes(json)?;
    finality::check(&specification.extensions().finality_forks)?;
    Ok(specification)
}

/// Place of the runtime in a plain specification.
const CODE: &str = "/genesis/runtimeGenesis/code";
/// The value there in a specification without a runtime.
const NO_CODE: &str = "0x";

/// The runtime that this crate was built with.
fn runtime() -> Result<&'static [u8], String> {
    starling_runtime::WASM_BINARY.ok_or_else(|| {
        "this binary was built without the runtime: build it without SKIP_WASM_BUILD".into()
    })
}

/// Name of the file in this crate's folder with a chain's specification.
pub fn released_file(chain: Chain) -> String {
    format!("{}.json", chain.name())
}
