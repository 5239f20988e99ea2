// SPDX-License-Identifier: Apache-2.0
//! Compiles the next release of the runtime for the test of upgrades: the same sources, with the spec
//! version raised by one.
//!
//! A version patched into the compiled runtime would change what the node reads of it and not what
//! the runtime itself believes, and a feature of the runtime would exist only for its test. So the
//! sources are copied, the one number is changed, and the copy is compiled as any runtime is. It
//! shares the target directory of the runtime proper, where its dependencies are compiled already.

use std::{
    env,
    error::Error,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use starling_runtime_builder::WasmBuilder;
use toml::{Table, Value};

/// Name of the copied crate: another than that of the original, so that neither replaces what the
/// other compiles to.
const NEXT_RELEASE: &str = "starling-runtime-next-release";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    starling_runtime_builder::run(next_release)
}

fn next_release() -> Result<()> {
    let root = path_from_env("CARGO_MANIFEST_DIR")?
        .parent()
        .ok_or("the package is not inside a workspace")?
        .to_owned();
    let out = path_from_env("OUT_DIR")?;
    let copy = out.join("next-release");

    copy_workspace(&root, &copy)?;
    share_target_directory(&out)?;

    // A build script has one thread.
    env::set_var("WASM_BUILD_WORKSPACE_HINT", &copy);
    WasmBuilder::new()
        .with_project(copy.join("runtime/Cargo.toml"))?
        .import_memory()
        .export_heap_base()
        .build();

    // Cargo has put the name of the copied crate into the copied lock file; the builder lets Cargo
    // watch that file, and it must not look newer than this build.
    keep_time(&root.join("Cargo.lock"), &copy.join("Cargo.lock"))?;
    for source in [
        "Cargo.toml",
        "Cargo.lock",
        "pallets",
        "primitives",
        "runtime",
    ] {
        println!("cargo:rerun-if-changed={}", root.join(source).display());
    }
    println!("cargo:rerun-if-changed=build.rs");
    Ok(())
}

/// A workspace of the runtime alone. What it depends on inside the repository stays where it is, and
/// is not compiled again.
fn copy_workspace(root: &Path, copy: &Path) -> Result<()> {
    if copy.exists() {
        fs::remove_dir_all(copy)?;
    }
    fs::create_dir(copy)?;
    copy_edited(&root.join("Cargo.lock"), &copy.join("Cargo.lock"), Ok)?;
    copy_edited(&root.join("Cargo.toml"), &copy.join("Cargo.toml"), |text| {
        let mut workspace: Table = text.parse()?;
        for keys in [["workspace", "dependencies"], ["patch", "crates-io"]] {
            for (_, dependency) in table(&mut workspace, &keys)?.iter_mut() {
                if let Some(Value::String(path)) = dependency.get_mut("path") {
                    *path = root
                        .join(&path)
                        .to_str()
                        .ok_or("a path is no UTF-8")?
                        .into();
                }
            }
        }
        table(&mut workspace, &["workspace"])?.insert("members".into(), vec!["runtime"].into());
        Ok(workspace.to_string())
    })?;
    copy_runtime(&root.join("runtime"), &copy.join("runtime"))
}

fn copy_runtime(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            // Crates of their own stay where they are.
            if !from.join("Cargo.toml").exists() {
                copy_runtime(&from, &to)?;
            }
        } else if from.ends_with("runtime/Cargo.toml") {
            copy_edited(&from, &to, |text| {
                let mut package: Table = text.parse()?;
                table(&mut package, &["package"])?.insert("name".into(), NEXT_RELEASE.into());
                Ok(package.to_string())
            })?;
        } else if from.ends_with("runtime/src/lib.rs") {
            copy_edited(&from, &to, raise_spec_version)?;
        } else {
            fs::copy(&from, &to)?;
            keep_time(&from, &to)?;
        }
    }
    Ok(())
}

fn raise_spec_version(source: String) -> Result<String> {
    const FIELD: &str = "spec_version: ";
    let [before, after] = source.split(FIELD).collect::<Vec<_>>()[..] else {
        return Err(format!("runtime/src/lib.rs does not hold `{FIELD}` exactly once").into());
    };
    let (version, after) = after
        .split_once(',')
        .ok_or("no comma after the spec version")?;
    let next = version.parse::<u32>()? + 1;
    Ok(format!("{before}{FIELD}{next},{after}"))
}

/// The table that is reached by these keys.
fn table<'a>(mut file: &'a mut Table, keys: &[&str]) -> Result<&'a mut Table> {
    for key in keys {
        file = file
            .get_mut(*key)
            .and_then(Value::as_table_mut)
            .ok_or_else(|| format!("no table `{key}`"))?;
    }
    Ok(file)
}

fn copy_edited(from: &Path, to: &Path, edit: impl FnOnce(String) -> Result<String>) -> Result<()> {
    fs::write(to, edit(fs::read_to_string(from)?)?)?;
    keep_time(from, to)
}

/// Gives `to` the modification time of `from`, so that Cargo sees a change where there is one.
fn keep_time(from: &Path, to: &Path) -> Result<()> {
    let time = fs::metadata(from)?.modified()?;
    Ok(fs::File::options()
        .append(true)
        .open(to)?
        .set_modified(time)?)
}

/// Lets the builder compile the copy in the target directory that it uses for the original.
fn share_target_directory(out: &Path) -> Result<()> {
    let profile = out
        .ancestors()
        .find(|path| path.ends_with("build"))
        .and_then(Path::parent)
        .ok_or("OUT_DIR is not inside a directory `build`")?;
    let projects = profile.join("wbuild");
    fs::create_dir_all(projects.join("starling-runtime/target"))?;
    fs::create_dir_all(projects.join(NEXT_RELEASE))?;
    let link = projects.join(NEXT_RELEASE).join("target");
    match symlink("../starling-runtime/target", link) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

fn path_from_env(name: &str) -> Result<PathBuf> {
    Ok(env::var_os(name)
        .ok_or_else(|| format!("Cargo did not set {name}"))?
        .into())
}
