// SPDX-License-Identifier: Apache-2.0
//! `starling up`: a local swarm of four validators with language models, from the installed
//! programs.

pub mod node;

use std::{
    fs,
    io::{self, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use clap::Parser;
use futures::future::try_join_all;
use starling_client::{signer, transaction, Chain, Error, Result};
use starling_infer::{Cancel, FetchBar, StoreArgs};
use starling_models::{Store, StoreError};
use tokio::{
    process::Command,
    signal::unix::{signal, SignalKind},
    task::spawn_blocking,
    time::sleep,
};

use crate::arguments::Connection;
use node::{Node, Program};

/// The development account that asks.
const REQUESTER: &str = "eve";
/// Tickets of each agent, in STAR: enough for hundreds of rounds.
const TICKETS: &str = "10";
/// Far longer than nodes need to begin, so that a busy machine fails nobody.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(200);

/// A validator of the local chain and the configuration of its agent.
struct Agent {
    name: &'static str,
    config: &'static str,
}

macro_rules! agent {
    ($name:literal) => {
        Agent {
            name: $name,
            config: include_str!(concat!("../../../../examples/agents/", $name, ".toml")),
        }
    };
}

const AGENTS: [Agent; 4] = [
    agent!("alice"),
    agent!("bob"),
    agent!("charlie"),
    agent!("dave"),
];
/// The models in those configurations.
const MODELS: [&str; 2] = ["smollm2-135m-instruct", "gemma-3-270m"];

#[derive(clap::Args)]
pub struct Args {
    /// Question for the swarm
    #[arg(default_value = "Why is the sky blue?", allow_hyphen_values = true)]
    question: String,
    /// Options of `starling ask`, after --
    #[arg(last = true, value_name = "ASK-OPTIONS")]
    ask: Vec<String>,
    /// Run a shell command instead of asking, with STARLING_URL and the nodes' processes in
    /// STARLING_PIDS
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["question", "ask"])]
    run: Option<String>,
    /// Leave the swarm running for more questions and dApps, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// RPC port of Alice; the others take the next three
    #[arg(long, default_value_t = 9944, value_name = "PORT", value_parser = four_ports())]
    rpc_port: u16,
    /// p2p port of Alice; the others take the next three
    #[arg(long, default_value_t = 30333, value_name = "PORT", value_parser = four_ports())]
    port: u16,
    /// Keep databases and logs in this folder [default: a temporary one, removed at the end]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The program `starling-node` [default: $STARLING_NODE, else the one beside this program, else
    /// that of PATH]
    #[arg(long, value_name = "FILE")]
    node: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
}

/// A port with three more behind it.
fn four_ports() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=i64::from(u16::MAX) - 3)
}

/// Runs the swarm. It ends with this function, whatever ends that.
pub async fn run(connection: &Connection, args: Args) -> Result<()> {
    if connection.names_a_node() {
        return Err(Error::Usage(
            "--url does not go with `up`, which starts its nodes".into(),
        ));
    }
    let ports = Ports::new(args.rpc_port, args.port)?;
    let program = Program::find(args.node.clone())?;
    let store = args.store.clone();
    // Ctrl-C ends the program meanwhile; what was fetched stays for the next time.
    spawn_blocking(move || fetch_models(&store))
        .await
        .map_err(|error| Error::Protocol(error.to_string()))??;
    let specification = program.specification()?;
    let folder = Folder::new(args.data.clone())?;

    say(&format!(
        "Starting four validators; logs in {}",
        folder.path.display()
    ));
    let mut swarm = Swarm::start(&program, &specification, &ports, &folder.path)?;
    let work = with_swarm(connection, &args, &mut swarm);
    // The caller ends on Ctrl-C; a supervisor sends this.
    let mut terminated = signal(SignalKind::terminate()).map_err(Error::io("signals"))?;
    tokio::select! {
        done = work => done,
        _ = terminated.recv() => Ok(()),
    }
}

async fn with_swarm(connection: &Connection, args: &Args, swarm: &mut Swarm) -> Result<()> {
    let chain = swarm.first_final_block().await?;
    say(&format!("Each agent buys tickets for {TICKETS} STAR"));
    buy_tickets(&chain).await?;
    let done = match &args.run {
        Some(command) => swarm.run(command).await,
        None => ask(connection, swarm, args).await,
    };
    if args.keep {
        say(&format!(
            "The swarm runs: RPC at {}; stop with Ctrl-C. Ask again with\n  starling --url {} ask \
             --dev {REQUESTER} \"What is a starling?\"\nand for its dashboard run\n  starling --url {} \
             gateway --dev {REQUESTER}",
            swarm.url, swarm.url, swarm.url
        ));
        swarm.ended().await?;
    }
    done
}

/// Asks through the command line of `starling ask`, whose options may follow.
async fn ask(connection: &Connection, swarm: &Swarm, args: &Args) -> Result<()> {
    say(&format!("Eve asks: {}", args.question));
    let line = ["starling", "--url", &swarm.url, "ask", "--dev", REQUESTER];
    let json = connection.json.then_some("--json");
    let line = line
        .into_iter()
        .chain(json)
        .chain(args.ask.iter().map(String::as_str));
    let line = line.chain(["--", args.question.as_str()]);
    let cli = crate::Cli::try_parse_from(line).unwrap_or_else(|error| error.exit());
    match cli.command {
        crate::Command::Ask(asked) => crate::ask::run(&cli.connection, asked).await,
        _ => Err(Error::Usage(
            "only options of `starling ask` may follow --".into(),
        )),
    }
}

async fn buy_tickets(chain: &Chain) -> Result<()> {
    let amount = chain.currency().parse(TICKETS)?;
    let call = transaction::with_amount("Tickets", "buy", amount);
    let buyers = AGENTS.iter().map(|agent| async {
        let key = signer::development(agent.name)?;
        transaction::send(chain, &call, &key).await
    });
    try_join_all(buyers).await.map(drop)
}

fn fetch_models(args: &StoreArgs) -> Result<()> {
    let failed = |error: StoreError| Error::Protocol(error.to_string());
    let store: Store = args.open().map_err(failed)?;
    let missing = |name: &&str| {
        let entry = store.manifest().get(name);
        !entry.is_some_and(|entry| store.is_fetched(entry))
    };
    let missing: Vec<_> = MODELS.into_iter().filter(missing).collect();
    if missing.is_empty() {
        return Ok(());
    }
    say("Fetching models");
    for name in missing {
        let mut bar = FetchBar::new(name, Cancel::new());
        let fetched = store.fetch(name, &mut bar);
        bar.finish();
        fetched.map_err(failed)?;
    }
    Ok(())
}

fn say(what: &str) {
    let arrow = console::style("==>").bold().for_stderr();
    // Progress that nobody reads is not worth an error.
    let _ = writeln!(io::stderr(), "{arrow} {what}");
}

/// The ports of the four nodes.
struct Ports {
    rpc: [u16; 4],
    p2p: [u16; 4],
}

impl Ports {
    /// Fails where two nodes would share a port, or somebody has one already.
    fn new(rpc: u16, p2p: u16) -> Result<Self> {
        let four = |first: u16| [0, 1, 2, 3].map(|index| first.saturating_add(index));
        let (rpc, p2p) = (four(rpc), four(p2p));
        let choose = "choose others with --rpc-port and --port";
        if rpc.iter().any(|port| p2p.contains(port)) {
            return Err(Error::Usage(format!(
                "the four RPC ports and the four p2p ports overlap; {choose}"
            )));
        }
        for port in rpc.iter().chain(&p2p) {
            TcpListener::bind(("127.0.0.1", *port)).map_err(|error| {
                Error::Usage(format!("port {port} cannot be used ({error}); {choose}"))
            })?;
        }
        Ok(Self { rpc, p2p })
    }
}

/// The folder of databases and logs.
struct Folder {
    path: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl Folder {
    fn new(named: Option<PathBuf>) -> Result<Self> {
        if let Some(path) = named {
            fs::create_dir_all(&path).map_err(Error::io(path.display()))?;
            // Nodes do not share the folder that this program was started in.
            let path = path.canonicalize().map_err(Error::io(path.display()))?;
            return Ok(Self {
                path,
                _temporary: None,
            });
        }
        let temporary = tempfile::tempdir().map_err(Error::io("a temporary folder"))?;
        Ok(Self {
            path: temporary.path().to_owned(),
            _temporary: Some(temporary),
        })
    }
}

/// Four nodes, which end with it.
struct Swarm {
    url: String,
    nodes: Vec<Node>,
}

impl Drop for Swarm {
    fn drop(&mut self) {
        // All at once; each is waited for when it is dropped.
        self.nodes.iter_mut().for_each(Node::terminate);
    }
}

impl Swarm {
    fn start(
        program: &Program,
        specification: &Path,
        ports: &Ports,
        folder: &Path,
    ) -> Result<Self> {
        let [first, ..] = ports.rpc;
        let mut swarm = Self {
            url: format!("ws://127.0.0.1:{first}"),
            nodes: vec![],
        };
        let [boot, ..] = ports.p2p;
        let places = ports.rpc.into_iter().zip(ports.p2p);
        for (index, (agent, (rpc, p2p))) in AGENTS.iter().zip(places).enumerate() {
            let config = folder.join(format!("{}.toml", agent.name));
            fs::write(&config, agent.config).map_err(Error::io(config.display()))?;
            let node = program.start(&node::Place {
                name: agent.name,
                index,
                specification,
                folder,
                config: &config,
                rpc,
                p2p,
                boot: (index > 0).then_some(boot),
            })?;
            swarm.nodes.push(node);
        }
        Ok(swarm)
    }

    /// Connects to the first node, and waits for a block that is final.
    async fn first_final_block(&mut self) -> Result<Chain> {
        let started = Instant::now();
        let chain = loop {
            match Chain::connect(&self.url, false).await {
                Ok(chain) => break chain,
                Err(error) if started.elapsed() > PATIENCE => return Err(error),
                Err(_) => {
                    self.check()?;
                    sleep(PAUSE).await;
                },
            }
        };
        while chain.finalized().await?.number() == 0 {
            if started.elapsed() > PATIENCE {
                return Err(Error::TimedOut(
                    "no block is final after two minutes; --data DIR keeps the logs".into(),
                ));
            }
            self.check()?;
            sleep(PAUSE).await;
        }
        Ok(chain)
    }

    /// Fails with the last words of a node that has ended.
    fn check(&mut self) -> Result<()> {
        self.nodes.iter_mut().try_for_each(Node::check)
    }

    /// Waits until a node ends.
    async fn ended(&mut self) -> Result<()> {
        loop {
            self.check()?;
            sleep(PAUSE).await;
        }
    }

    /// Runs a shell command for this swarm. Its failure is the program's.
    async fn run(&self, command: &str) -> Result<()> {
        let processes: Vec<_> = self
            .nodes
            .iter()
            .map(|node| node.id().to_string())
            .collect();
        let status = Command::new("sh")
            .args(["-c", command])
            .env("STARLING_URL", &self.url)
            .env("STARLING_PIDS", processes.join(","))
            .stdin(Stdio::inherit())
            .kill_on_drop(true)
            .status()
            .await
            .map_err(Error::io("sh"))?;
        match status.success() {
            true => Ok(()),
            false => Err(Error::Protocol(format!("the command ended with {status}"))),
        }
    }
}
