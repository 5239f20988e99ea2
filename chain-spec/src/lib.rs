// SPDX-License-Identifier: Apache-2.0
//! The chain specifications of Starling: names, properties and genesis presets of each chain.
//!
//! A specification is a runtime and a preset of that runtime
//! ([`starling_runtime::genesis_config_presets`]). The released files in this crate's folder are
//! [`Chain::specification`] of each [`Chain::RELEASED`] as JSON, plain and raw.

use sc_chain_spec::{ChainType, GenericChainSpec, Properties};
use starling_runtime::{genesis_config_presets as presets, TOKEN_DECIMALS, TOKEN_SYMBOL};

/// A chain specification without extensions.
pub type ChainSpec = GenericChainSpec;

/// The chains that are known by name.
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
    /// The chains whose specification is committed to this repository.
    pub const RELEASED: [Chain; 2] = [Chain::Local, Chain::Testnet];

    /// The name by which `--chain` selects it.
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

    /// Its specification on the runtime that this crate was built with.
    ///
    /// # Errors
    /// When the crate was built without the WebAssembly runtime (`SKIP_WASM_BUILD`).
    pub fn specification(self) -> Result<ChainSpec, String> {
        let code = starling_runtime::WASM_BINARY
            .ok_or("this binary was built without the runtime: build it without SKIP_WASM_BUILD")?;
        Ok(self.specification_on(code))
    }

    /// Its specification on the runtime `code`.
    pub fn specification_on(self, code: &[u8]) -> ChainSpec {
        let (name, id, kind, preset) = match self {
            Chain::Development => (
                "Starling Development",
                "starling_dev",
                ChainType::Development,
                presets::DEVELOPMENT,
            ),
            Chain::Local => (
                "Starling Local",
                "starling_local",
                ChainType::Local,
                presets::LOCAL_TESTNET,
            ),
            Chain::Testnet => (
                "Starling Testnet",
                "starling_testnet",
                ChainType::Live,
                presets::TESTNET,
            ),
        };
        ChainSpec::builder(code, None)
            .with_name(name)
            .with_id(id)
            .with_chain_type(kind)
            .with_protocol_id(id)
            .with_properties(properties())
            .with_genesis_config_preset_name(preset)
            .build()
    }
}

fn properties() -> Properties {
    let mut properties = Properties::new();
    properties.insert("ss58Format".into(), 42.into());
    properties.insert("tokenDecimals".into(), TOKEN_DECIMALS.into());
    properties.insert("tokenSymbol".into(), TOKEN_SYMBOL.into());
    properties
}

/// `specification` as the text of a released file: JSON with a newline at its end.
///
/// # Errors
/// When the runtime refuses to build the genesis state.
pub fn to_json(specification: &ChainSpec, raw: bool) -> Result<String, String> {
    let mut json = specification.as_json(raw)?;
    json.push('\n');
    Ok(json)
}

/// The file name under which a chain's specification is released.
pub fn released_file(chain: Chain, raw: bool) -> String {
    format!("{}{}.json", chain.name(), if raw { ".raw" } else { "" })
}
