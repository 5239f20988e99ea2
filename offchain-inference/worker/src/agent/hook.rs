// SPDX-License-Identifier: Apache-2.0

//! External processing: a program or an HTTP hook, with limits on time and size.

use std::{
    fmt,
    io::{Read, Write},
    os::unix::process::CommandExt,
    process::{self, Stdio},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{kill_process_group, Pid, Signal};
use serde::Serialize;
use wait_timeout::ChildExt;

use super::Signals;
use crate::config::{Command, Limits};

/// Time between two checks of a running program.
const LOOK: Duration = Duration::from_millis(50);

/// The most calls of HTTP hooks at a time. Those that were left alone last as long as their limit.
const MOST_CALLS: usize = 64;

/// The calls of HTTP hooks that have not ended.
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// The place of a hook in the work of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Before the primary module.
    Before,
    /// After the primary module.
    After,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "before",
            Self::After => "after",
        })
    }
}

/// Input of a hook, as JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Input<'a> {
    /// Place of the hook.
    pub stage: Stage,
    /// Number of the round.
    pub round: u64,
    /// Role and text of each turn before the requester's question.
    pub history: &'a [[&'a str; 2]],
    /// The question of the requester.
    pub prompt: &'a str,
    /// The text to work on.
    pub text: &'a str,
}

/// Runs a program with `input` on its standard input, and returns its standard output. Kills the
/// program if `signals` tell it to end.
pub fn command(
    command: &Command,
    input: &Input,
    limits: Limits,
    signals: &Signals,
) -> Result<String, String> {
    let program = command.program.display();
    let json = serde_json::to_vec(input).map_err(|error| error.to_string())?;
    let mut child = process::Command::new(&command.program)
        .args(&command.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // A group of its own, so that processes that the program starts end with it.
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot start {program}: {error}"))?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let kill = || group.map(|group| kill_process_group(group, Signal::KILL));
    // Serves both pipes at once: a program that writes before it has read would block otherwise.
    let writer = child.stdin.take().map(|mut stdin| {
        // A program may ignore its input.
        thread::spawn(move || drop(stdin.write_all(&json)))
    });
    let limit = limits.max_output.0;
    let reader = child
        .stdout
        .take()
        .map(|stdout| thread::spawn(move || read(stdout, limit)));
    let end = Instant::now() + limits.timeout.0;
    let status = loop {
        let left = end.saturating_duration_since(Instant::now());
        match child.wait_timeout(left.min(LOOK)) {
            Ok(None) if !left.is_zero() && !signals.is_set() => {},
            status => break status,
        }
    };
    kill();
    let status = match status {
        Ok(Some(status)) => status,
        late => {
            child.wait().map_err(|error| error.to_string())?;
            late.map_err(|error| error.to_string())?;
            return Err(if signals.is_set() {
                format!("{program} was still running at the end of the round's time")
            } else {
                format!("{program} took longer than {:?}", limits.timeout.0)
            });
        },
    };
    if let Some(writer) = writer {
        writer
            .join()
            .map_err(|_| "the input could not be written")?;
    }
    let output = reader
        .and_then(|reader| reader.join().ok())
        .ok_or("the output could not be read")?;
    let output = text(output?, limit, &program.to_string());
    // A program may have ended because its output was cut off: report the length first.
    match output {
        Ok(_) if !status.success() => Err(format!("{program} ended with {status}")),
        output => output,
    }
}

/// A call of an HTTP hook, which may outlive its job.
struct Call(&'static AtomicUsize);

impl Call {
    /// Counts a call until it is dropped. `None` if there are too many.
    fn begin(calls: &'static AtomicUsize) -> Option<Self> {
        let call = Self(calls);
        let before = calls.fetch_add(1, Ordering::Relaxed);
        (before < MOST_CALLS).then_some(call)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Posts `input` to an HTTP hook, and returns the body of its response. Leaves the hook alone if
/// `signals` tell it to end.
pub fn http(url: &str, input: &Input, limits: Limits, signals: &Signals) -> Result<String, String> {
    let json = serde_json::to_vec(input).map_err(|error| error.to_string())?;
    let call = Call::begin(&CALLS)
        .ok_or_else(|| format!("{url}: {MOST_CALLS} calls of hooks have not ended"))?;
    let (sender, receiver) = mpsc::channel();
    let address = url.to_owned();
    let thread = thread::Builder::new().name("hook".into());
    // A request cannot be interrupted.
    let posted = thread.spawn(move || {
        let _counted = call;
        // Nobody waits for it once the job has ended.
        let _ = sender.send(post(&address, &json, limits));
    });
    posted.map_err(|error| format!("{url}: {error}"))?;
    loop {
        match receiver.recv_timeout(LOOK) {
            Ok(outcome) => return outcome,
            Err(RecvTimeoutError::Timeout) if !signals.is_set() => {},
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!(
                    "{url} had not answered at the end of the round's time"
                ));
            },
            Err(RecvTimeoutError::Disconnected) => return Err(format!("{url}: the call crashed")),
        }
    }
}

fn post(url: &str, json: &[u8], limits: Limits) -> Result<String, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(limits.timeout.0))
        .build()
        .into();
    let response = agent
        .post(url)
        .content_type("application/json")
        .send(json)
        .map_err(|error| format!("{url}: {error}"))?;
    let limit = limits.max_output.0;
    let body = read(response.into_body().into_reader(), limit);
    text(body.map_err(|error| format!("{url}: {error}"))?, limit, url)
}

/// Reads at most one byte more than `limit`, so that the caller notices an excess.
fn read(source: impl Read, limit: usize) -> Result<Vec<u8>, String> {
    let mut bytes = vec![];
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    match source.take(most).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}

fn text(bytes: Vec<u8>, limit: usize, source: &str) -> Result<String, String> {
    if bytes.len() > limit {
        return Err(format!("{source} returned more than {limit} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("{source} did not return UTF-8"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Size, Time};
    use std::{net::TcpListener, time::Instant};

    const INPUT: Input = Input {
        stage: Stage::Before,
        round: 7,
        history: &[["user", "so?"], ["assistant", "no"]],
        prompt: "why?",
        text: "why, please?",
    };

    fn limits(millis: u64, bytes: usize) -> Limits {
        Limits {
            timeout: Time(Duration::from_millis(millis)),
            max_output: Size(bytes),
        }
    }

    fn program(name: &str, arguments: &[&str]) -> Command {
        Command {
            program: name.into(),
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
        }
    }

    fn shell(script: &str, millis: u64, bytes: usize) -> Result<String, String> {
        let program = program("sh", &["-c", script]);
        command(&program, &INPUT, limits(millis, bytes), &Signals::default())
    }

    #[test]
    fn a_program_gets_json_and_returns_text() {
        let json = shell("cat", 60_000, 1_000).unwrap();
        assert_eq!(
            json,
            "{\"stage\":\"before\",\"round\":7,\"history\":[[\"user\",\"so?\"],\
             [\"assistant\",\"no\"]],\"prompt\":\"why?\",\"text\":\"why, please?\"}"
        );
        assert_eq!(shell("echo hello", 60_000, 100).unwrap(), "hello");
    }

    #[test]
    fn what_a_program_does_wrong_is_an_error() {
        for (script, bytes, words) in [
            ("exit 3", 10, "exit status: 3"),
            ("yes", 10, "more than 10 bytes"),
            ("echo 12345678901", 10, "more than 10 bytes"),
            (r"printf '\377'", 10, "UTF-8"),
        ] {
            let error = shell(script, 60_000, bytes).unwrap_err();
            assert!(error.contains(words), "{script}: {error}");
        }
        let nowhere = command(
            &program("/nowhere/program", &[]),
            &INPUT,
            limits(60_000, 1),
            &Signals::default(),
        );
        assert!(nowhere.unwrap_err().contains("/nowhere/program"));
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alive");
        let started = Instant::now();
        // The grandchild holds the output open; were it not killed, reading would not end.
        let script = format!("(sleep 600; touch {}) & wait", path.display());
        let error = shell(&script, 200, 100).unwrap_err();
        assert!(error.contains("longer than"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(300));
        assert!(!path.exists());
    }

    #[test]
    fn a_program_ends_when_its_job_is_to_end() {
        let signals = Signals::default();
        let running = thread::spawn({
            let signals = signals.clone();
            let sleep = program("sleep", &["600"]);
            move || command(&sleep, &INPUT, limits(600_000, 100), &signals)
        });
        signals.hurry();
        let error = running.join().unwrap().unwrap_err();
        assert!(error.contains("at the end of the round's time"), "{error}");
    }

    #[test]
    fn http_hooks_are_posted_to_and_time_out() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![];
            let mut buffer = [0; 4096];
            while !request.ends_with(b"please?\"}") {
                let n = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..n]);
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfine\n")
                .unwrap();
            // The second call gets no answer.
            let silent = listener.accept();
            (request, silent.is_ok())
        });
        let call = |millis| http(&url, &INPUT, limits(millis, 100), &Signals::default());
        assert_eq!(call(60_000).unwrap(), "fine");
        assert!(call(200).is_err());
        let (request, called) = server.join().unwrap();
        assert!(request.starts_with(b"POST / HTTP/1.1"));
        assert!(called);
    }

    #[test]
    fn calls_that_have_not_ended_are_bounded() {
        static SOME: AtomicUsize = AtomicUsize::new(0);
        let all: Vec<_> = (0..MOST_CALLS).map(|_| Call::begin(&SOME)).collect();
        assert!(all.iter().all(Option::is_some));
        assert!(Call::begin(&SOME).is_none());
        drop(all);
        assert!(Call::begin(&SOME).is_some());
    }

    #[test]
    fn an_http_hook_is_left_alone_when_its_job_is_to_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let signals = Signals::default();
        let running = thread::spawn({
            let signals = signals.clone();
            move || http(&url, &INPUT, limits(600_000, 100), &signals)
        });
        let _called = listener.accept().unwrap();
        signals.hurry();
        let error = running.join().unwrap().unwrap_err();
        assert!(error.contains("at the end of the round's time"), "{error}");
    }
}
