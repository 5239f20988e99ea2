// SPDX-License-Identifier: Apache-2.0
//! Commands about keys: those of the SDK, and session keys.

use std::io::{self, Write};

use codec::Encode;
use sc_cli::{Error, KeystoreParams, SharedParams, SubstrateCli};
use sc_keystore::LocalKeystore;
use sc_service::{config::KeystoreConfig, BasePath};
use serde_json::json;
use sp_core::{
    bytes::to_hex,
    crypto::key_types::{AURA, GRANDPA},
};
use sp_keystore::{KeystoreExt, KeystorePtr};
use sp_state_machine::BasicExternalities;
use starling_runtime::{AccountId, SessionKeys};

/// Commands about keys.
#[derive(Debug, clap::Subcommand)]
pub enum KeyCommand {
    /// Make session keys in the keystore, and print what `session.setKeys` takes.
    ///
    /// The node may run: it finds the keys at once and uses them when the chain does.
    Session(SessionCommand),

    /// The commands of the SDK.
    #[command(flatten)]
    Sdk(sc_cli::KeySubcommand),
}

impl KeyCommand {
    /// Runs the command.
    pub fn run<C: SubstrateCli>(&self, cli: &C) -> sc_cli::Result<()> {
        match self {
            Self::Session(command) => command.run(cli),
            Self::Sdk(command) => command.run(cli),
        }
    }
}

/// Makes session keys.
#[derive(Debug, clap::Args)]
pub struct SessionCommand {
    /// Account of the validator, which announces the keys: its address
    ///
    /// The proof of ownership is for this account alone.
    #[arg(long, value_name = "ACCOUNT")]
    owner: AccountId,

    /// Print JSON instead of lines.
    #[arg(long)]
    json: bool,

    /// The chain and its folder.
    #[clap(flatten)]
    shared: SharedParams,

    /// The keystore.
    #[clap(flatten)]
    keystore: KeystoreParams,
}

impl SessionCommand {
    fn run<C: SubstrateCli>(&self, cli: &C) -> sc_cli::Result<()> {
        let (keys, proof) = generate(&self.open(cli)?, &self.owner)?;
        let (keys, proof) = (to_hex(&keys, false), to_hex(&proof, false));
        let mut output = io::stdout().lock();
        if self.json {
            writeln!(output, "{}", json!({ "keys": keys, "proof": proof }))?;
        } else {
            writeln!(output, "keys:  {keys}\nproof: {proof}")?;
        }
        Ok(())
    }

    /// Opens the keystore that the node of this chain and folder uses.
    fn open<C: SubstrateCli>(&self, cli: &C) -> sc_cli::Result<KeystorePtr> {
        let base_path = self.shared.base_path()?;
        let base_path =
            base_path.unwrap_or_else(|| BasePath::from_project("", "", &C::executable_name()));
        let chain = cli.load_spec(&self.shared.chain_id(self.shared.is_dev()))?;
        let folder = base_path.config_dir(chain.id());
        match self.keystore.keystore_config(&folder)? {
            KeystoreConfig::Path { path, password } => {
                let keystore = LocalKeystore::open(&path, password).map_err(|error| {
                    Error::Input(format!("the keystore {}: {error}", path.display()))
                })?;
                Ok(keystore.into())
            },
            KeystoreConfig::InMemory => Err(Error::Input("the keystore has no folder".into())),
        }
    }
}

/// New keys in the keystore, and the proof that whoever owns them means `owner` to announce them.
/// Both are encoded as on chain.
fn generate(keystore: &KeystorePtr, owner: &AccountId) -> sc_cli::Result<(Vec<u8>, Vec<u8>)> {
    let failed = |error| Error::Input(format!("cannot make a key: {error}"));
    let mut keys = SessionKeys {
        aura: keystore
            .sr25519_generate_new(AURA, None)
            .map_err(failed)?
            .into(),
        grandpa: keystore
            .ed25519_generate_new(GRANDPA, None)
            .map_err(failed)?
            .into(),
    };
    let mut externalities = BasicExternalities::new_empty();
    externalities.register_extension(KeystoreExt(keystore.clone()));
    let proof = externalities.execute_with(|| keys.create_ownership_proof(owner.as_ref()));
    let proof = proof.map_err(|()| Error::Input("the keystore cannot sign".into()))?;
    Ok((keys.encode(), proof.encode()))
}
