// SPDX-License-Identifier: Apache-2.0
//! The program `starling-node`, and one node of the swarm.

use std::{
    env, fs,
    fs::File,
    io::{Read, Seek, SeekFrom},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::UNIX_EPOCH,
};

use rustix::process::{kill_process, Pid, Signal};
use starling_client::{Error, Result};
use starling_console::variable;

/// The peer id of node key 00…01: the first node, which the others look for.
const FIRST_PEER: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
/// Bytes of a log that are shown after a node has ended.
const LAST_WORDS: u64 = 2_000;

/// The program.
pub struct Program {
    path: PathBuf,
    /// Compiled runtimes and the genesis, which outlive a swarm.
    cache: PathBuf,
}

/// A node's name, files and ports.
pub struct Place<'a> {
    pub name: &'a str,
    pub index: usize,
    pub specification: &'a Path,
    pub folder: &'a Path,
    pub config: &'a Path,
    pub rpc: u16,
    pub p2p: u16,
    /// The port of the node to look for.
    pub boot: Option<u16>,
}

impl Place<'_> {
    fn address(&self) -> String {
        match self.boot {
            None => first_address(self.p2p),
            Some(_) => format!("/ip4/127.0.0.1/tcp/{}", self.p2p),
        }
    }
}

/// The address of the first node: a WebSocket, so that the light client of a page reaches it, too.
fn first_address(port: u16) -> String {
    format!("/ip4/127.0.0.1/tcp/{port}/ws")
}

/// The file of the named program, or of the one that belongs to this one.
pub fn path(named: Option<PathBuf>) -> Result<PathBuf> {
    let path = match named.or_else(|| variable("STARLING_NODE").map(PathBuf::from)) {
        Some(path) => Some(path).filter(|path| path.is_file()),
        None => {
            let own = env::current_exe().ok();
            let beside = own.map(|own| own.with_file_name("starling-node"));
            let folders = env::var_os("PATH").unwrap_or_default();
            let installed = env::split_paths(&folders).map(|dir| dir.join("starling-node"));
            beside
                .into_iter()
                .chain(installed)
                .find(|path| path.is_file())
        },
    };
    path.ok_or_else(|| {
        Error::Usage("there is no starling-node; name it with --node or STARLING_NODE".into())
    })
}

impl Program {
    /// The named program, or the one that belongs to this one.
    pub fn find(named: Option<PathBuf>) -> Result<Self> {
        let path = path(named)?;
        let folders = directories::ProjectDirs::from("", "", "starling");
        let folders = folders.ok_or_else(|| Error::Usage("there is no home folder".into()))?;
        let cache = folders.cache_dir().join("local");
        fs::create_dir_all(&cache).map_err(Error::io(cache.display()))?;
        Ok(Self { path, cache })
    }

    /// The local chain with its genesis state, which takes the program seconds to build: once, as
    /// long as the program is the same.
    pub fn specification(&self) -> Result<PathBuf> {
        let about = fs::metadata(&self.path).map_err(Error::io(self.path.display()))?;
        let changed = about.modified().ok();
        let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let changed = changed.unwrap_or_default().as_nanos();
        let path = self
            .cache
            .join(format!("{changed}-{}.raw.json", about.len()));
        if path.is_file() {
            return Ok(path);
        }
        self.forget_specifications();
        let new = path.with_extension("new");
        let built = Command::new(&self.path)
            .args(["export-chain-spec", "--chain", "local", "--raw", "--output"])
            .arg(&new)
            .stdout(Stdio::null())
            .output()
            .map_err(Error::io(self.path.display()))?;
        if !built.status.success() {
            let words = String::from_utf8_lossy(&built.stderr).into_owned();
            return Err(Error::Protocol(format!(
                "the node cannot build the local chain: {}",
                words.trim()
            )));
        }
        fs::rename(&new, &path).map_err(Error::io(path.display()))?;
        Ok(path)
    }

    /// Removes those of other programs.
    fn forget_specifications(&self) {
        let entries = fs::read_dir(&self.cache).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if path.extension().is_some_and(|kind| kind == "json") {
                // One that stays costs space and nothing else.
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Starts a node.
    pub fn start(&self, place: &Place) -> Result<Node> {
        let log = place.folder.join(format!("{}.log", place.name));
        let file = File::create(&log).map_err(Error::io(log.display()))?;
        let also = file.try_clone().map_err(Error::io(log.display()))?;
        let key = place.index.saturating_add(1);
        let mut command = Command::new(&self.path);
        command
            .arg("--chain")
            .arg(place.specification)
            .arg(format!("--{}", place.name))
            .arg("--base-path")
            .arg(place.folder.join(place.name))
            .arg("--runtime-cache")
            .arg(self.cache.join("runtimes"))
            .arg("--agent-config")
            .arg(place.config)
            .args(["--node-key", &format!("{key:064x}")])
            .args(["--listen-addr", &place.address()])
            .args(["--rpc-port", &place.rpc.to_string()])
            .args(["--no-prometheus", "--no-telemetry", "--no-mdns"])
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(also)
            // Ctrl-C reaches this program alone, which then stops the nodes.
            .process_group(0);
        if let Some(port) = place.boot {
            command.args([
                "--bootnodes",
                &format!("{}/p2p/{FIRST_PEER}", first_address(port)),
            ]);
        }
        let process = command.spawn().map_err(Error::io(self.path.display()))?;
        Ok(Node {
            name: place.name.to_owned(),
            log,
            process,
        })
    }
}

/// A node, which is stopped when this is dropped.
pub struct Node {
    name: String,
    log: PathBuf,
    process: Child,
}

impl Node {
    /// Number of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Asks it to end.
    pub fn terminate(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            let id = i32::try_from(self.process.id()).ok();
            if let Some(id) = id.and_then(Pid::from_raw) {
                // It may have ended this instant.
                let _ = kill_process(id, Signal::TERM);
            }
        }
    }

    /// Fails if it has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.process.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(Error::Protocol(format!(
                "the node of {} ended with {status}; its last words:\n{}",
                self.name,
                last_words(&self.log)
            ))),
            Err(error) => Err(Error::io(&self.name)(error)),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.terminate();
        let _ = self.process.wait();
    }
}

/// The end of a log.
fn last_words(log: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS)))?;
        let mut bytes = vec![];
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|error| error.to_string())
}
