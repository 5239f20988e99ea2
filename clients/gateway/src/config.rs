// SPDX-License-Identifier: Apache-2.0
//! The configuration: keys, models, and who may call.

use std::{collections::BTreeSet, path::PathBuf};

use serde::Deserialize;
use starling_client::{amount::Currency, lane::LaneId};
use starling_primitives::Balance;

/// The model that is always there.
pub const STANDARD_MODEL: &str = "starling";

/// The file `gateway.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// API keys. Without any the gateway serves this machine alone.
    #[serde(default, rename = "key")]
    pub keys: Vec<Key>,
    /// Models besides `starling`.
    #[serde(default, rename = "model")]
    pub models: Vec<Model>,
    /// The lane of all callers.
    pub lane: Option<Lane>,
    /// Names that the header `Host` may have besides the address that the gateway listens on.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Origins of pages that may call the gateway.
    #[serde(default)]
    pub origins: Vec<String>,
    /// The longest time that a caller waits for the end of a round, in seconds.
    #[serde(default = "patience")]
    pub patience: u64,
    /// Addresses of nodes that the light client of the pages connects to [default: those of the
    /// gateway's node that browsers can reach].
    #[serde(default)]
    pub bootnodes: Vec<String>,
    /// The folder of the npm package `smoldot`, the light client of the pages.
    pub light_client: Option<PathBuf>,
    /// The folder of the model store, whose tokenizers count tokens [default: the user's store].
    pub store: Option<PathBuf>,
}

/// An API key and its limits.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The name, for the operator.
    pub name: String,
    /// The SHA-256 of the key, in hexadecimal.
    pub sha256: String,
    /// The file with the key of the account that pays. No other API key may use this account.
    pub signer: PathBuf,
    /// The most that the key may spend in a day of UTC, such as `20 STAR/day`.
    pub budget: Option<String>,
    /// The highest fee of a request.
    pub max_fee: Option<String>,
    /// The number of rounds that may be open at a time.
    #[serde(default = "open")]
    pub open: usize,
}

/// The lane that questions go over while it takes them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lane {
    /// The number [default: of the account's open lanes, the one with the most free deposit].
    pub id: Option<LaneId>,
    /// The file with the key of the account that opened the lane [default: the account of callers
    /// without a key]. No API key may use this account.
    pub signer: Option<PathBuf>,
}

/// A named choice of terms.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The name.
    pub id: String,
    /// The fee [default: the least of the chain].
    pub fee: Option<String>,
    /// The minimum number of answers [default: the least of the chain].
    pub min_responses: Option<u32>,
    /// The maximum number of answers.
    #[serde(default = "max_responses")]
    pub max_responses: u32,
    /// The maximum length of an answer in tokens, where a request has none.
    #[serde(default = "max_tokens")]
    pub max_tokens: u32,
    /// Whether a stream shows the progress of the round as reasoning, too.
    #[serde(default)]
    pub reasoning: bool,
}

fn patience() -> u64 {
    540
}

fn open() -> usize {
    8
}

fn max_responses() -> u32 {
    8
}

fn max_tokens() -> u32 {
    64
}

/// A fault of a configuration, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(String);

/// The terms of a model, with amounts read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The name.
    pub id: String,
    /// The fee; `None` is the least of the chain.
    pub fee: Option<Balance>,
    /// The minimum number of answers; `None` is the least of the chain.
    pub min_responses: Option<u32>,
    /// The maximum number of answers.
    pub max_responses: u32,
    /// The maximum length of an answer in tokens, where a request has none.
    pub max_tokens: u32,
    /// Whether a stream shows the progress of the round as reasoning, too.
    pub reasoning: bool,
}

/// The limits of a caller, with amounts read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most that may be spent in a day of UTC.
    pub budget: Option<Balance>,
    /// The highest fee of a request.
    pub max_fee: Option<Balance>,
    /// The number of rounds that may be open at a time.
    pub open: usize,
}

impl Limits {
    /// The number of rounds that may be open at a time on a chain that allows an account `most`.
    pub fn open_of(&self, most: u32) -> usize {
        self.open.min(usize::try_from(most).unwrap_or(usize::MAX))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            budget: None,
            max_fee: None,
            open: open(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keys: vec![],
            models: vec![],
            lane: None,
            hosts: vec![],
            origins: vec![],
            patience: patience(),
            bootnodes: vec![],
            light_client: None,
            store: None,
        }
    }
}

impl Config {
    /// Reads the text of a file.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let config: Self = toml::from_str(text).map_err(|error| Fault(error.to_string()))?;
        let mut names = BTreeSet::new();
        let mut hashes = BTreeSet::new();
        for key in &config.keys {
            let name = &key.name;
            if name.is_empty() || !names.insert(name) {
                return Err(Fault(format!(
                    "the name {name:?} of a key is empty or used twice"
                )));
            }
            let hash = key.sha256.to_ascii_lowercase();
            if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(Fault(format!(
                    "`sha256` of the key {name:?} is not 64 hexadecimal digits; `starling gateway \
                     key new` makes a key and prints them"
                )));
            }
            if !hashes.insert(hash) {
                return Err(Fault(format!("`sha256` of the key {name:?} is used twice")));
            }
        }
        let mut ids = BTreeSet::new();
        for Model { id, .. } in &config.models {
            if id.is_empty() || !ids.insert(id) {
                return Err(Fault(format!(
                    "the id {id:?} of a model is empty or used twice"
                )));
            }
        }
        Ok(config)
    }

    /// The terms of the models. `starling` is the first one, unless the configuration changes it.
    pub fn terms(&self, currency: &Currency) -> Result<Vec<Terms>, Fault> {
        let standard = Model {
            id: STANDARD_MODEL.into(),
            fee: None,
            min_responses: None,
            max_responses: max_responses(),
            max_tokens: max_tokens(),
            reasoning: false,
        };
        let changed = self.models.iter().any(|model| model.id == standard.id);
        let standard = Some(&standard).filter(|_| !changed);
        standard
            .into_iter()
            .chain(&self.models)
            .map(|model| {
                Ok(Terms {
                    id: model.id.clone(),
                    fee: amount(currency, model.fee.as_deref())?,
                    min_responses: model.min_responses,
                    max_responses: model.max_responses,
                    max_tokens: model.max_tokens,
                    reasoning: model.reasoning,
                })
            })
            .collect()
    }
}

impl Key {
    /// The limits of the key.
    pub fn limits(&self, currency: &Currency) -> Result<Limits, Fault> {
        let budget = match &self.budget {
            None => None,
            Some(text) => {
                let daily = text.trim().strip_suffix("/day").ok_or_else(|| {
                    Fault(format!(
                        "`budget` of the key {:?} is not an amount a day, such as \"20 STAR/day\"",
                        self.name
                    ))
                })?;
                amount(currency, Some(daily))?
            },
        };
        Ok(Limits {
            budget,
            max_fee: amount(currency, self.max_fee.as_deref())?,
            open: self.open,
        })
    }
}

fn amount(currency: &Currency, text: Option<&str>) -> Result<Option<Balance>, Fault> {
    text.map(|text| currency.parse(text))
        .transpose()
        .map_err(|error| Fault(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    fn with_keys(keys: &[(&str, &str)]) -> Result<Config, Fault> {
        let key = |(name, hash): &(&str, &str)| {
            format!("[[key]]\nname = {name:?}\nsha256 = {hash:?}\nsigner = \"/x\"\n")
        };
        Config::parse(&keys.iter().map(key).collect::<String>())
    }

    #[test]
    fn the_example_of_the_readme_is_read() {
        let readme = include_str!("../README.md");
        let example = readme.split("```toml\n").nth(1).unwrap();
        let example = example.split("```").next().unwrap();
        let config = Config::parse(example).unwrap();
        let star = Currency::default();
        assert_eq!(config.lane.as_ref().unwrap().id, Some(3));
        let limits = config.keys[0].limits(&star).unwrap();
        assert_eq!(limits.budget, Some(20_000_000_000_000));
        assert_eq!(limits.max_fee, Some(5_000_000_000_000));
        let terms = config.terms(&star).unwrap();
        let ids: Vec<_> = terms.iter().map(|terms| terms.id.as_str()).collect();
        assert_eq!(ids, ["starling", "starling-careful"]);
        assert_eq!(terms[1].fee, Some(4_000_000_000_000));
    }

    #[test]
    fn no_key_opens_more_rounds_than_the_chain_allows() {
        let open = |open| Limits {
            open,
            ..Limits::default()
        };
        assert_eq!(open(100).open_of(16), 16);
        assert_eq!(open(8).open_of(16), 8);
    }

    #[test]
    fn nothing_is_a_configuration() {
        let config = Config::parse("").unwrap();
        assert_eq!((config.keys.len(), config.patience), (0, 540));
        assert!(config.lane.is_none());
        let terms = config.terms(&Currency::default()).unwrap();
        assert_eq!((terms.len(), terms[0].max_responses), (1, 8));
    }

    #[test]
    fn faults_are_told_by_name() {
        for (config, words) in [
            (with_keys(&[("a", "12")]), "64 hexadecimal digits"),
            (with_keys(&[("a", HASH), ("b", HASH)]), "used twice"),
            (with_keys(&[("", HASH)]), "empty"),
            (Config::parse("listen = 1"), "unknown field `listen`"),
            (Config::parse("[[model]]\nid = \"\""), "id \"\" of a model"),
            (Config::parse("[lane]\nid = \"3\""), "invalid type"),
            (Config::parse("[lane]\nfee = 3"), "unknown field `fee`"),
        ] {
            let fault = config.unwrap_err().to_string();
            assert!(fault.contains(words), "{fault}");
        }
        let mut config = with_keys(&[("a", HASH)]).unwrap();
        config.keys[0].budget = Some("20 STAR".into());
        let fault = config.keys[0].limits(&Currency::default()).unwrap_err();
        assert!(fault.to_string().contains("a day"), "{fault}");
    }
}
