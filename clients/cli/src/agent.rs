// SPDX-License-Identifier: Apache-2.0
//! `starling agent`.

use starling_console::outln;
use std::path::PathBuf;

use serde_json::{json, Value};
use sp_core::crypto::{AccountId32, Ss58Codec};
use starling_client::{
    answers,
    chain::{Registration, Tickets, Unbonding},
    inference_key::Secret,
    text::count,
    transaction::{self, Call, Model},
    At, Chain, Error, Result,
};
use starling_models::Store;
use starling_primitives::{
    api::{AgentView, CapabilityView},
    choice::Choice,
    fixed, Balance, H256,
};

use crate::{
    arguments::{account_of, Connection, Signer},
    key, table,
};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    signer: Signer,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Register an agent: put a bond on hold and announce an inference key and a model.
    Register {
        #[command(flatten)]
        key: Key,
        #[command(flatten)]
        model: ModelArgs,
        /// Amount of the bond, in STAR [default: the minimum of the chain]
        #[arg(long, value_name = "AMOUNT")]
        bond: Option<String>,
    },
    /// Add to the bond.
    Bond {
        /// Amount to add, in STAR
        amount: String,
    },
    /// Take a part out of the bond. `withdraw` pays it out after the unbonding period.
    Unbond {
        /// Amount to take out, in STAR
        amount: String,
    },
    /// Withdraw the unbonded amounts that are due.
    Withdraw,
    /// Stay out of new rounds. The agent still sends the messages of open rounds.
    Chill,
    /// Enter new rounds again, after `chill`.
    Unchill,
    /// Replace the inference key. The new one is in force once no round of the agent is open.
    RotateKey {
        #[command(flatten)]
        key: Key,
    },
    /// Announce another model.
    SetModel {
        #[command(flatten)]
        model: ModelArgs,
    },
    /// Remove the agent and unbond its whole bond.
    Deregister,
    /// Show the key, model, bond, rating, tickets and known answers of an agent; all agents without
    /// one or a signer.
    Status {
        /// Address, public key in hexadecimal, or name of a development account
        account: Option<String>,
    },
}

/// The inference key.
#[derive(clap::Args)]
struct Key {
    /// Secret URI of the inference key; - reads it from standard input [default: a new key]
    #[arg(long, value_name = "URI")]
    inference_key: Option<String>,
    /// Keystore of the agent's node to write the key into: BASE-PATH/chains/CHAIN/keystore
    #[arg(long, value_name = "DIR", required_unless_present = "inference_key")]
    keystore: Option<PathBuf>,
}

/// The model.
#[derive(clap::Args)]
struct ModelArgs {
    /// Name of the model that the agent runs; the store knows the hash of its own models
    #[arg(long)]
    model: String,
    /// SHA-256 of the model's file, for a model that is not in the store
    #[arg(long, value_name = "HEX")]
    model_hash: Option<String>,
}

pub async fn run(connection: &Connection, args: Args) -> Result<()> {
    let Args { signer, command } = args;
    connection
        .run(|chain| async move {
            let parse = |amount: &str| chain.currency().parse(amount);
            let call = match command {
                Command::Status { account } => {
                    let who = signer.account(account.as_deref())?;
                    return status(connection, &chain, who).await;
                },
                Command::Register { key, model, bond } => {
                    let bond = match bond {
                        Some(bond) => parse(&bond)?,
                        None => chain.best().await?.constant("Agents", "MinBond")?,
                    };
                    let secret = key.secret()?;
                    let proof = secret.prove(chain.genesis(), &account_of(&signer.required()?));
                    transaction::register(&secret.public(), &proof, &model.model()?, bond)
                },
                Command::RotateKey { key } => {
                    let secret = key.secret()?;
                    let proof = secret.prove(chain.genesis(), &account_of(&signer.required()?));
                    transaction::rotate_key(&secret.public(), &proof)
                },
                Command::SetModel { model } => transaction::set_model(&model.model()?),
                Command::Bond { amount } => {
                    transaction::with_amount("Agents", "bond_extra", parse(&amount)?)
                },
                Command::Unbond { amount } => {
                    transaction::with_amount("Agents", "unbond", parse(&amount)?)
                },
                Command::Withdraw => transaction::call_of("Agents", "withdraw_unbonded"),
                Command::Chill => transaction::call_of("Agents", "chill"),
                Command::Unchill => transaction::call_of("Agents", "unchill"),
                Command::Deregister => transaction::call_of("Agents", "deregister"),
            };
            send(connection, &chain, &signer, &call).await
        })
        .await
}

impl Key {
    /// Writes the key into the keystore before the chain hears of it: a key that only the chain
    /// knows would be lost.
    fn secret(&self) -> Result<Secret> {
        let secret = match &self.inference_key {
            Some(uri) => key::secret(uri)?,
            None => Secret::generate(),
        };
        if let Some(keystore) = &self.keystore {
            let path = secret.insert(keystore)?;
            eprintln!("the inference key is in {}", path.display());
        }
        Ok(secret)
    }
}

impl ModelArgs {
    fn model(self) -> Result<Model> {
        let hash = match &self.model_hash {
            Some(hash) => hash.clone(),
            None => known_hash(&self.model)?,
        };
        let hash = hash
            .trim_start_matches("0x")
            .parse::<H256>()
            .map_err(|_| Error::Usage(format!("`{hash}` is not 32 bytes in hexadecimal")))?;
        Ok(Model {
            name: self.model,
            hash,
        })
    }
}

fn known_hash(model: &str) -> Result<String> {
    let unknown = |error| Error::Usage(format!("{error}; pass its hash with --model-hash"));
    let store = Store::open(None).map_err(unknown)?;
    Ok(store.entry(model).map_err(unknown)?.sha256.clone())
}

async fn send(connection: &Connection, chain: &Chain, signer: &Signer, call: &Call) -> Result<()> {
    let key = signer.required()?;
    let sent = transaction::send(chain, call, &key).await?;
    let who = account_of(&key);
    let at = chain.at_number(sent.block).await?;
    match Agent::read(&at, &who, &Common::read(&at).await?).await? {
        Some(agent) => agent.print(connection, chain),
        None if connection.json => outln!("{}", json!({ "block": sent.block })),
        None => outln!(
            "{} is not an agent as of block {}",
            chain.name(&who),
            sent.block
        ),
    }
    Ok(())
}

async fn status(connection: &Connection, chain: &Chain, who: Option<AccountId32>) -> Result<()> {
    let at = chain.best().await?;
    let Some(who) = who else {
        return all(connection, chain, &at).await;
    };
    let agent = Agent::read(&at, &who, &Common::read(&at).await?).await?;
    let agent =
        agent.ok_or_else(|| Error::NotFound(format!("{} is not an agent", chain.name(&who))))?;
    agent.print(connection, chain);
    Ok(())
}

async fn all(connection: &Connection, chain: &Chain, at: &At) -> Result<()> {
    let common = Common::read(at).await?;
    let mut agents = vec![];
    for (who, _) in at.registrations().await? {
        agents.extend(Agent::read(at, &who, &common).await?);
    }
    if connection.json {
        let agents: Vec<_> = agents.iter().map(Agent::object).collect();
        outln!("{}", json!(agents));
        return Ok(());
    }
    let mut table = table::table(&[
        "agent",
        "model",
        "state",
        "bond",
        "rating",
        "weight",
        "free tickets",
    ]);
    for agent in &agents {
        table.add_row([
            chain.name(&agent.who),
            agent.registration.model_name(),
            agent.state().into(),
            chain.currency().format(agent.registration.bond),
            format!("{:.3}", unit(agent.view.rating)),
            format!("{:.3}", unit(agent.view.weight)),
            chain.currency().format(agent.tickets.free),
        ]);
    }
    outln!("{table}");
    Ok(())
}

/// Facts of a block that hold for all agents.
struct Common {
    validators: Vec<AccountId32>,
    seat_price: Option<Balance>,
    choice: Choice,
}

impl Common {
    async fn read(at: &At) -> Result<Self> {
        Ok(Self {
            validators: at.validators().await?,
            seat_price: at.seat_price().await?,
            choice: at.choice().await?,
        })
    }
}

/// An agent as of a block.
struct Agent {
    who: AccountId32,
    registration: Registration,
    view: AgentView,
    tickets: Tickets,
    unbonding: Vec<Unbonding>,
    /// Whether it is a validator of the present session.
    sits: bool,
    seat_price: Option<Balance>,
    /// Its known answers, by form.
    capabilities: Vec<CapabilityView>,
    choice: Choice,
}

impl Agent {
    async fn read(at: &At, who: &AccountId32, common: &Common) -> Result<Option<Self>> {
        let (Some(registration), Some(view)) = (at.registration(who).await?, at.agent(who).await?)
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            who: who.clone(),
            registration,
            view,
            tickets: at.tickets(who).await?,
            unbonding: at.unbonding(who).await?,
            sits: common.validators.contains(who),
            seat_price: common.seat_price,
            capabilities: at.capabilities(who).await?,
            choice: common.choice,
        }))
    }

    fn state(&self) -> &'static str {
        match (self.view.active, self.registration.chilled) {
            (true, _) => "active",
            (false, true) => "chilled",
            (false, false) => "bond too low",
        }
    }

    fn print(&self, connection: &Connection, chain: &Chain) {
        if connection.json {
            outln!("{}", self.object());
            return;
        }
        let money = |amount| chain.currency().format(amount);
        outln!(
            "agent:          {} ({})",
            chain.name(&self.who),
            self.who.to_ss58check()
        );
        outln!("state:          {}", self.state());
        outln!("model:          {}", self.registration.model_name());
        outln!("model hash:     {:?}", self.registration.model_hash);
        outln!("inference key:  {}", hex(&self.registration.key));
        if let Some(next) = &self.registration.next_key {
            outln!("next key:       {} (when no round is open)", hex(next));
        }
        outln!(
            "bond:           {}, {} of it reserved for {} open rounds",
            money(self.registration.bond),
            money(self.registration.reserved),
            self.registration.open,
        );
        for part in &self.unbonding {
            outln!(
                "unbonding:      {} due in block {}",
                money(part.amount),
                part.due
            );
        }
        match self.seat_price {
            _ if self.sits => outln!("validator:      yes"),
            Some(price) => outln!(
                "validator:      no; a seat takes session keys and a bond of {}",
                money(price)
            ),
            None => outln!("validator:      no"),
        }
        outln!(
            "tickets:        {} free, {} staked",
            money(self.tickets.free),
            money(self.tickets.staked)
        );
        outln!(
            "rating:         {:.3}, weight {:.3}",
            unit(self.view.rating),
            unit(self.view.weight)
        );
        for known in &self.capabilities {
            let form = format!("known, {}:", answers::name(known.form));
            outln!("{form:<16}{}", self.known(known));
        }
        if let (true, Choice::Votes(votes)) = (self.capabilities.is_empty(), self.choice) {
            outln!(
                "known answers:  none; {} of a form prove the agent",
                votes.proof
            );
        }
    }

    /// The agent's record in one form of answers, in words.
    fn known(&self, known: &CapabilityView) -> String {
        let proven: String = match self.missing(known) {
            _ if known.is_proven => "proven".into(),
            Some(missing) => format!("{missing} more prove it"),
            None => "not proven".into(),
        };
        format!(
            "{}, {:.1} of {:.1} right, vote {:.3}, scores {:.3}, {proven}",
            count(known.rounds, "known answer", "known answers"),
            unit(known.right),
            unit(known.answers),
            unit(known.author),
            unit(known.ranker),
        )
    }

    /// The number of known answers that the agent lacks to be proven. `None` if the choice in force
    /// asks for none.
    fn missing(&self, known: &CapabilityView) -> Option<u32> {
        match self.choice {
            Choice::Paper => None,
            Choice::Votes(votes) => Some(votes.proof.saturating_sub(known.rounds)),
        }
    }

    fn object(&self) -> Value {
        let unbonding: Vec<_> = self
            .unbonding
            .iter()
            .map(|part| json!({ "amount": part.amount.to_string(), "due": part.due }))
            .collect();
        let capabilities: Vec<_> = self
            .capabilities
            .iter()
            .map(|known| {
                json!({
                    "form": answers::name(known.form),
                    "known": known.rounds,
                    "right": unit(known.right),
                    "answers": unit(known.answers),
                    "vote": unit(known.author),
                    "scores": unit(known.ranker),
                    "proven": known.is_proven,
                    "missing": self.missing(known),
                })
            })
            .collect();
        json!({
            "account": self.who.to_ss58check(),
            "state": self.state(),
            "model": self.registration.model_name(),
            "model_hash": format!("{:?}", self.registration.model_hash),
            "inference_key": hex(&self.registration.key),
            "next_inference_key": self.registration.next_key.as_ref().map(hex),
            "bond": self.registration.bond.to_string(),
            "reserved": self.registration.reserved.to_string(),
            "open_rounds": self.registration.open,
            "unbonding": unbonding,
            "validator": self.sits,
            "seat_price": self.seat_price.map(|price| price.to_string()),
            "free_tickets": self.tickets.free.to_string(),
            "staked_tickets": self.tickets.staked.to_string(),
            "rating": unit(self.view.rating),
            "weight": unit(self.view.weight),
            "capabilities": capabilities,
        })
    }
}

fn hex(bytes: &impl AsRef<[u8]>) -> String {
    let digits = bytes.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.fold("0x".into(), |hex, digits| hex + &digits)
}

/// A number with 32 fractional bits.
fn unit(fixed: u64) -> f64 {
    fixed as f64 / fixed::ONE as f64
}
