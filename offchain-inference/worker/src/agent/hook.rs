// SPDX-License-Identifier: Apache-2.0

//! External processing: a program or an HTTP hook, with limits on time and size.

use std::{
    fmt,
    io::{Read, Write},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{kill_process_group, Pid, Signal};
use serde::Serialize;
use wait_timeout::ChildExt;

use super::Signals;

/// How often a program that runs is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// When in an agent's work a hook is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Before the primary module.
    Before,
    /// After it.
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

/// What a hook is told, as JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Input<'a> {
    /// When it is called.
    pub stage: Stage,
    /// The round.
    pub round: u64,
    /// The prompt as it was asked.
    pub prompt: &'a str,
    /// The text to work on.
    pub text: &'a str,
}

/// What a hook may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest that it may take.
    pub time: Duration,
    /// The longest output, in bytes.
    pub bytes: usize,
}

/// Runs a program: `input` on its standard input, the result on its standard output. It is ended
/// when `signals` say so.
pub fn command(
    words: &[String],
    input: &Input,
    limits: Limits,
    signals: &Signals,
) -> Result<String, String> {
    let (program, arguments) = words.split_first().ok_or("the command is empty")?;
    let json = serde_json::to_vec(input).map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // A group of its own, so that what it starts ends with it.
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot start {program}: {error}"))?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let kill = || group.map(|group| kill_process_group(group, Signal::KILL));
    // Both pipes at once, or a program that writes before it has read would wait for ever.
    let writer = child.stdin.take().map(|mut stdin| {
        // A program need not read its input.
        thread::spawn(move || drop(stdin.write_all(&json)))
    });
    let limit = limits.bytes;
    let reader = child
        .stdout
        .take()
        .map(|stdout| thread::spawn(move || read(stdout, limit)));
    let end = Instant::now() + limits.time;
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
                format!("{program} took longer than the round has time")
            } else {
                format!("{program} took longer than {:?}", limits.time)
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
    let output = text(output?, limit, program);
    // What a program wrote too much of may have ended it.
    match output {
        Ok(_) if !status.success() => Err(format!("{program} ended with {status}")),
        output => output,
    }
}

/// Calls an HTTP hook: `input` by POST, the result in the answer's body.
pub fn http(url: &str, input: &Input, limits: Limits) -> Result<String, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(limits.time))
        .build()
        .into();
    let json = serde_json::to_vec(input).map_err(|error| error.to_string())?;
    let response = agent
        .post(url)
        .content_type("application/json")
        .send(&json[..])
        .map_err(|error| format!("{url}: {error}"))?;
    let body = read(response.into_body().into_reader(), limits.bytes);
    text(
        body.map_err(|error| format!("{url}: {error}"))?,
        limits.bytes,
        url,
    )
}

/// At most one byte more than `limit`, which tells that it was too much.
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
    use std::{net::TcpListener, time::Instant};

    const INPUT: Input = Input {
        stage: Stage::Before,
        round: 7,
        prompt: "why?",
        text: "why, please?",
    };

    fn shell(script: &str, millis: u64, bytes: usize) -> Result<String, String> {
        let limits = Limits {
            time: Duration::from_millis(millis),
            bytes,
        };
        let words = ["sh".into(), "-c".into(), script.into()];
        command(&words, &INPUT, limits, &Signals::default())
    }

    #[test]
    fn a_program_gets_json_and_returns_text() {
        let json = shell("cat", 60_000, 1_000).unwrap();
        assert_eq!(
            json,
            r#"{"stage":"before","round":7,"prompt":"why?","text":"why, please?"}"#
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
            &["/nowhere/program".into()],
            &INPUT,
            Limits {
                time: Duration::from_secs(60),
                bytes: 1,
            },
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
        let limits = Limits {
            time: Duration::from_secs(600),
            bytes: 100,
        };
        let signals = Signals::default();
        let program = thread::spawn({
            let signals = signals.clone();
            let words = ["sleep".into(), "600".into()];
            move || command(&words, &INPUT, limits, &signals)
        });
        signals.hurry();
        let error = program.join().unwrap().unwrap_err();
        assert!(error.contains("than the round has time"), "{error}");
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
        let limits = |millis| Limits {
            time: Duration::from_millis(millis),
            bytes: 100,
        };
        assert_eq!(http(&url, &INPUT, limits(60_000)).unwrap(), "fine");
        assert!(http(&url, &INPUT, limits(200)).is_err());
        let (request, called) = server.join().unwrap();
        assert!(request.starts_with(b"POST / HTTP/1.1"));
        assert!(called);
    }
}
