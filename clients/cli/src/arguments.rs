// SPDX-License-Identifier: Apache-2.0
//! Arguments that several commands take.

use std::{future::Future, path::PathBuf};

use clap::{Args, ValueEnum};
use directories::ProjectDirs;
use sp_core::crypto::AccountId32;
use starling_client::{account, chain::DEFAULT_URL, signer, Chain, Error, Keypair, Result};
use starling_console::variable;
use starling_primitives::choice;

/// The node to talk to, and the form of the output.
#[derive(Args)]
pub struct Connection {
    /// RPC address of the node, ws:// or wss:// [default: $STARLING_URL, else ws://127.0.0.1:9944]
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// Allow an unencrypted connection to another machine
    #[arg(long, global = true)]
    pub insecure: bool,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

impl Connection {
    /// Whether the arguments name a node.
    pub fn names_a_node(&self) -> bool {
        self.url.is_some()
    }

    /// The address of the node.
    pub fn url(&self) -> String {
        self.url
            .clone()
            .or_else(|| variable("STARLING_URL"))
            .unwrap_or_else(|| DEFAULT_URL.into())
    }

    /// Connects, and runs `work`.
    pub async fn run<T, F: Future<Output = Result<T>>>(
        &self,
        work: impl FnOnce(Chain) -> F,
    ) -> Result<T> {
        let folders = ProjectDirs::from("", "", "starling");
        let shared = folders.as_ref().map(ProjectDirs::cache_dir);
        let chain = Chain::connect_with(&self.url(), self.insecure, shared).await?;
        match work(chain.clone()).await {
            Ok(done) => Ok(done),
            Err(error) => Err(chain.diagnose(error).await),
        }
    }
}

/// The form of answers.
#[derive(Clone, Copy, ValueEnum)]
pub enum Form {
    /// Any text; the scores of the rankers alone choose
    Free,
    /// A number
    Number,
    /// The letter of an option
    Choice,
    /// A few words
    Short,
}

impl From<Form> for choice::Form {
    fn from(form: Form) -> Self {
        match form {
            Form::Free => Self::Free,
            Form::Number => Self::Number,
            Form::Choice => Self::Choice,
            Form::Short => Self::Short,
        }
    }
}

/// The signer.
#[derive(Args)]
pub struct Signer {
    /// Sign as a development account: alice, bob, charlie, dave, eve, ferdie, one, two
    #[arg(long, global = true, value_name = "NAME", group = "signer")]
    dev: Option<String>,
    /// Sign with a secret URI: a phrase or a seed, with derivations. The list of processes shows it
    /// to other users of this machine: prefer STARLING_SURI
    #[arg(long, global = true, value_name = "URI", group = "signer")]
    suri: Option<String>,
    /// Sign with the key in a file: a keystore entry or a secret URI
    #[arg(long, global = true, value_name = "FILE", group = "signer")]
    key_file: Option<PathBuf>,
}

impl Signer {
    /// Reads the key, if the arguments or the environment name one.
    pub fn key(&self) -> Result<Option<Keypair>> {
        if let Some(name) = &self.dev {
            return signer::development(name).map(Some);
        }
        if let Some(path) = &self.key_file {
            return signer::from_file(path).map(Some);
        }
        let from_environment = || variable("STARLING_SURI");
        let uri = self.suri.clone().or_else(from_environment);
        uri.map(|uri| signer::from_uri(&uri)).transpose()
    }

    /// Reads the key, or fails without one.
    pub fn required(&self) -> Result<Keypair> {
        self.key()?.ok_or_else(|| {
            Error::Usage("no signer: pass --dev, --suri or --key-file, or set STARLING_SURI".into())
        })
    }

    /// The named account, or the signer's.
    pub fn account(&self, named: Option<&str>) -> Result<Option<AccountId32>> {
        match named {
            Some(named) => account::parse(named).map(Some),
            None => Ok(self.key()?.as_ref().map(account_of)),
        }
    }
}

/// The account of a key.
pub fn account_of(key: &Keypair) -> AccountId32 {
    AccountId32::new(key.public_key().0)
}
