// SPDX-License-Identifier: Apache-2.0
//! `starling attest`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde_json::json;
use sp_core::crypto::AccountId32;
use starling_attestation::{collateral::Collateral, Product, View, MAX_QUOTE};
use starling_client::{
    attestation::{self, array, certificate, Claim},
    transaction::{self, Call},
    Chain, Error, Result,
};
use starling_console::outln;

use crate::arguments::{account_of, Connection, Signer};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    signer: Signer,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Print the report data that an agent's measured code asks its quote for.
    Data {
        /// Address, public key in hexadecimal, or name of a development account
        account: Option<String>,
        #[command(flatten)]
        identity: Identity,
    },
    /// Show a quote of Intel TDX or SGX to the chain.
    Quote {
        /// File of the quote, with the certificates of its platform
        file: PathBuf,
        #[command(flatten)]
        identity: Identity,
        /// Block that `starling attest data` printed
        #[arg(long, value_name = "NUMBER")]
        block: u32,
    },
    /// Show a report of AMD SEV-SNP to the chain.
    Report {
        /// File of the report
        file: PathBuf,
        /// File of the certificate of the chip, in DER or PEM
        #[arg(long, value_name = "FILE")]
        vcek: PathBuf,
        /// Generation of the processor
        #[arg(long)]
        product: Generation,
        #[command(flatten)]
        identity: Identity,
        /// Block that `starling attest data` printed
        #[arg(long, value_name = "NUMBER")]
        block: u32,
    },
    /// Bring the collateral of quotes to the chain. Anybody may.
    Collateral {
        /// Intel's collateral for a quote, in JSON
        #[arg(required_unless_present = "ask")]
        file: Option<PathBuf>,
        /// File of AMD's certificate for a product, in DER or PEM
        #[arg(long, value_name = "FILE", requires = "ark")]
        ask: Option<PathBuf>,
        /// File of the certificate of AMD's root for the product, in DER or PEM
        #[arg(long, value_name = "FILE", requires = "ask")]
        ark: Option<PathBuf>,
    },
    /// Show the attestation of an agent.
    Show {
        /// Address, public key in hexadecimal, or name of a development account
        account: Option<String>,
    },
}

/// The keys of the node besides the inference key.
#[derive(clap::Args)]
struct Identity {
    /// Public key of the network identity of the agent's node, in hexadecimal [default: that of the
    /// node that --url names]
    #[arg(long, value_name = "HEX")]
    peer: Option<String>,
    /// Key on X25519 to which hidden states are sealed, in hexadecimal [default: none]
    #[arg(long, value_name = "HEX")]
    hop_key: Option<String>,
}

/// A generation of AMD's processors.
#[derive(Clone, Copy, ValueEnum)]
enum Generation {
    /// EPYC 7003
    Milan,
    /// EPYC 9004, 8004 and 97x4
    Genoa,
    /// EPYC 9005
    Turin,
}

impl From<Generation> for Product {
    fn from(generation: Generation) -> Self {
        match generation {
            Generation::Milan => Self::Milan,
            Generation::Genoa => Self::Genoa,
            Generation::Turin => Self::Turin,
        }
    }
}

pub async fn run(connection: &Connection, args: Args) -> Result<()> {
    let Args { signer, command } = args;
    connection
        .run(|chain| async move {
            match command {
                Command::Data { account, identity } => {
                    let who = account_or_signer(&signer, account.as_deref())?;
                    data(connection, &chain, &who, &identity).await
                },
                Command::Quote {
                    file,
                    identity,
                    block,
                } => {
                    let quote = read(&file)?;
                    // The fee would be lost.
                    if quote.len() > MAX_QUOTE {
                        let words = format!("a quote has at most {MAX_QUOTE} bytes");
                        return Err(Error::Usage(words));
                    }
                    let claim = identity.claim(&chain, block).await?;
                    let call = attestation::attest_dcap(&quote, &claim);
                    attest(connection, &chain, &signer, &call).await
                },
                Command::Report {
                    file,
                    vcek,
                    product,
                    identity,
                    block,
                } => {
                    let (report, vcek) = (read(&file)?, certificate(&read(&vcek)?)?);
                    let claim = identity.claim(&chain, block).await?;
                    let call = attestation::attest_snp(product.into(), &report, &vcek, &claim);
                    attest(connection, &chain, &signer, &call).await
                },
                Command::Collateral { file, ask, ark } => {
                    let items = items(file.as_deref(), ask.as_deref(), ark.as_deref())?;
                    bring(connection, &chain, &signer, &items).await
                },
                Command::Show { account } => {
                    let who = account_or_signer(&signer, account.as_deref())?;
                    let view = chain.best().await?.attestation(&who).await?;
                    let view = view.ok_or_else(|| {
                        Error::NotFound(format!("{} is not attested", chain.name(&who)))
                    })?;
                    print(connection, &view);
                    Ok(())
                },
            }
        })
        .await
}

impl Identity {
    async fn claim(&self, chain: &Chain, block: u32) -> Result<Claim> {
        let peer = match &self.peer {
            Some(peer) => array(peer)?,
            None => chain.network_key().await?,
        };
        let hop_key = self.hop_key.as_deref().map(array).transpose()?;
        Ok(Claim {
            peer,
            hop_key: hop_key.unwrap_or_default(),
            block,
        })
    }
}

fn account_or_signer(signer: &Signer, account: Option<&str>) -> Result<AccountId32> {
    let words = "name an account, or a signer";
    let account = signer.account(account)?;
    account.ok_or_else(|| Error::Usage(words.into()))
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).map_err(Error::io(file.display()))
}

async fn data(
    connection: &Connection,
    chain: &Chain,
    who: &AccountId32,
    identity: &Identity,
) -> Result<()> {
    // A block that is final: no fork takes it out of the chain again.
    let block = chain.finalized().await?.number();
    let claim = identity.claim(chain, block).await?;
    let data = chain.best().await?.report_data(who, &claim).await?;
    let data = data
        .ok_or_else(|| Error::NotFound(format!("{} is no agent of this chain", chain.name(who))))?;
    if connection.json {
        outln!("{}", json!({ "report_data": hex(&data), "block": block }));
    } else {
        outln!("report data:  {}", hex(&data));
        outln!("block:        {block}");
    }
    Ok(())
}

async fn attest(
    connection: &Connection,
    chain: &Chain,
    signer: &Signer,
    call: &Call,
) -> Result<()> {
    let key = signer.required()?;
    let sent = transaction::send(chain, call, &key).await?;
    let at = chain.at_number(sent.block).await?;
    match at.attestation(&account_of(&key)).await? {
        Some(view) => print(connection, &view),
        // A later transaction of the block ended it.
        None => outln!(
            "The attestation was accepted in block {}, and has ended.",
            sent.block
        ),
    }
    Ok(())
}

fn items(file: Option<&Path>, ask: Option<&Path>, ark: Option<&Path>) -> Result<Vec<Collateral>> {
    let mut items = Vec::new();
    if let Some(file) = file {
        items.extend(attestation::collateral(&read(file)?)?);
    }
    if let (Some(ask), Some(ark)) = (ask, ark) {
        items.push(Collateral::AmdChain {
            ask: certificate(&read(ask)?)?,
            ark: certificate(&read(ark)?)?,
        });
    }
    Ok(items)
}

/// Brings items one by one. Those that the chain has already stop nothing.
async fn bring(
    connection: &Connection,
    chain: &Chain,
    signer: &Signer,
    items: &[Collateral],
) -> Result<()> {
    let key = signer.required()?;
    let mut taken = 0_u32;
    for item in items {
        let sent = transaction::send(chain, &attestation::put_collateral(item), &key).await;
        match sent {
            Ok(_) => taken += 1,
            Err(Error::Refused(words)) if words.contains("CollateralNotNewer") => {},
            Err(error) => return Err(error),
        }
    }
    if connection.json {
        outln!("{}", json!({ "brought": items.len(), "taken": taken }));
    } else {
        outln!(
            "The chain took {taken} of {} items; it had the others.",
            items.len()
        );
    }
    Ok(())
}

fn print(connection: &Connection, view: &View) {
    let names = view.advisories.iter();
    let advisories: Vec<_> = names.map(|name| name.escape_ascii().to_string()).collect();
    if connection.json {
        let object = json!({
            "kind": format!("{:?}", view.kind),
            "measurement": hex(&view.measurement),
            "model": hex(&view.model),
            "peer": hex(&view.peer),
            "hop_key": hex(&view.hop_key),
            "platform": hex(&view.platform),
            "status": format!("{:?}", view.status),
            "advisories": advisories,
            "block": view.at,
            "until": view.until,
        });
        outln!("{object}");
        return;
    }
    outln!("technology:   {:?}", view.kind);
    outln!("measurement:  {}", hex(&view.measurement));
    outln!("model:        {}", hex(&view.model));
    outln!("peer:         {}", hex(&view.peer));
    outln!("platform:     {}", hex(&view.platform));
    outln!("firmware:     {:?}", view.status);
    match advisories.is_empty() {
        true => outln!("advisories:   none"),
        false => outln!("advisories:   {}", advisories.join(", ")),
    }
    outln!("blocks:       {} to {}", view.at, view.until);
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    format!("0x{}", digits.collect::<String>())
}
