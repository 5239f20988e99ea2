// SPDX-License-Identifier: Apache-2.0
//! `starling key`.

use starling_console::outln;
use std::{io::Read, path::PathBuf};

use serde_json::json;
use sp_core::crypto::{AccountId32, Ss58Codec};
use starling_client::{inference_key::Secret, Error, Result};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Generate a key for an account or an agent, and print its secret phrase.
    Generate,
    /// Show the public key and the address of a secret URI.
    Inspect {
        /// Secret URI: a phrase or a seed, with derivations; - reads it from standard input
        uri: String,
    },
    /// Write an inference key into the keystore of a node, for its agent.
    Insert {
        /// Secret URI: a phrase or a seed, with derivations; - reads it from standard input
        uri: String,
        /// Keystore of the node: BASE-PATH/chains/CHAIN/keystore
        #[arg(long, value_name = "DIR")]
        keystore: PathBuf,
    },
}

pub fn run(json: bool, command: Command) -> Result<()> {
    match command {
        Command::Generate => print(json, &Secret::generate(), true),
        Command::Inspect { uri } => print(json, &secret(&uri)?, false),
        Command::Insert { uri, keystore } => {
            let path = secret(&uri)?.insert(&keystore)?;
            if json {
                outln!("{}", json!({ "path": path }));
            } else {
                outln!("{}", path.display());
            }
        },
    }
    Ok(())
}

/// Reads the key of a secret URI, or of standard input for `-`.
pub fn secret(uri: &str) -> Result<Secret> {
    if uri != "-" {
        return Secret::from_uri(uri);
    }
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(Error::io("standard input"))?;
    Secret::from_uri(&text)
}

fn print(json: bool, secret: &Secret, with_secret: bool) {
    let public = secret.public();
    let bytes: &[u8] = public.as_ref();
    let hex = bytes
        .iter()
        .fold(String::from("0x"), |hex, byte| format!("{hex}{byte:02x}"));
    let address = AccountId32::try_from(bytes)
        .map_or_else(|()| hex.clone(), |account| account.to_ss58check());
    if json {
        let mut object = json!({ "public": hex, "address": address });
        if let (Some(fields), true) = (object.as_object_mut(), with_secret) {
            fields.insert("phrase".into(), secret.uri().into());
        }
        outln!("{object}");
        return;
    }
    if with_secret {
        outln!("phrase:   {}", secret.uri());
    }
    outln!("public:   {hex}");
    outln!("address:  {address}");
}
