// SPDX-License-Identifier: Apache-2.0
//! The wrapper around the compiler, which keeps folders out of its output.

use std::{
    env,
    ffi::{OsStr, OsString},
    process::Command,
};

/// Environment variable that holds the argument of [`standard_library`], so that it is computed
/// once.
pub const STANDARD_LIBRARY: &str = "STARLING_STANDARD_LIBRARY";

/// Compiler argument that hides the difference between installed sources of the standard library,
/// as for an editor, and missing ones. `None` if the compiler does not know its own commit; it then
/// knows of no sources either.
pub fn standard_library() -> Option<String> {
    let ask = |arguments: &[&str]| {
        // The same compiler as the builder's.
        let mut compiler = match env::var("WASM_BUILD_TOOLCHAIN") {
            Ok(toolchain) => {
                let mut rustup = Command::new("rustup");
                rustup.args(["run", &toolchain, "rustc"]);
                rustup
            },
            Err(_) => Command::new(env::var_os("RUSTC").unwrap_or("rustc".into())),
        };
        let output = compiler.args(arguments).output().ok()?;
        String::from_utf8(output.stdout).ok()
    };
    let version = ask(&["-vV"])?;
    let commit = version
        .lines()
        .find_map(|line| line.strip_prefix("commit-hash: "))?;
    let sysroot = ask(&["--print", "sysroot"])?;
    Some(format!(
        "--remap-path-prefix={}/lib/rustlib/src/rust=/rustc/{commit}",
        sysroot.trim_end()
    ))
}

/// Calls `compiler` with Cargo's `arguments`, changed by [`same_everywhere`], and returns its exit
/// status. Cargo names the compiled package in the environment.
pub fn compile(compiler: &OsStr, arguments: impl Iterator<Item = OsString>) -> i32 {
    let variable = |name| env::var_os(name).unwrap_or_default();
    let mut package = variable("CARGO_PKG_NAME");
    package.push("-");
    package.push(variable("CARGO_PKG_VERSION"));

    let status = Command::new(compiler)
        .args(same_everywhere(arguments, &package))
        .args(env::var_os(STANDARD_LIBRARY))
        // The last one that fits counts, and generated files may lie inside the package.
        .args(remapped(&variable("CARGO_MANIFEST_DIR"), &package, ""))
        .args(remapped(&variable("OUT_DIR"), &package, "/out"))
        .status();
    match status {
        Ok(status) => status.code().unwrap_or(1),
        Err(error) => {
            eprintln!("{}: {error}", compiler.to_string_lossy());
            1
        },
    }
}

/// Cargo's `arguments`, with `package`, a name and a version, as the distinguishing metadata.
/// Cargo's own is a hash, which depends on the folder for a package outside a registry; the
/// compiler derives symbol names from it.
fn same_everywhere<'a>(
    arguments: impl Iterator<Item = OsString> + 'a,
    package: &'a OsStr,
) -> impl Iterator<Item = OsString> + 'a {
    arguments.map(move |argument| {
        if !argument.as_encoded_bytes().starts_with(b"metadata=") {
            return argument;
        }
        let mut metadata = OsString::from("metadata=");
        metadata.push(package);
        metadata
    })
}

/// Compiler argument that replaces `folder` by `/package` and `part` in all output. `None` without
/// a folder, because every path begins with the empty one.
fn remapped(folder: &OsStr, package: &OsStr, part: &str) -> Option<OsString> {
    if folder.is_empty() {
        return None;
    }
    let mut argument = OsString::from("--remap-path-prefix=");
    argument.push(folder);
    argument.push("=/");
    argument.push(package);
    argument.push(part);
    Some(argument)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_told_from_others_by_its_name_and_version() {
        let arguments = [
            "-C",
            "metadata=a8f0",
            "-C",
            "extra-filename=-a8f0",
            "lib.rs",
        ];
        let changed = same_everywhere(arguments.into_iter().map(Into::into), "one-1.0".as_ref());
        assert_eq!(
            changed.collect::<Vec<_>>(),
            [
                "-C",
                "metadata=one-1.0",
                "-C",
                "extra-filename=-a8f0",
                "lib.rs"
            ]
        );
    }

    #[test]
    fn the_sources_of_the_standard_library_are_written_as_a_commit() {
        let argument = standard_library().unwrap();
        let (_, to) = argument.rsplit_once("/lib/rustlib/src/rust=").unwrap();
        let commit = to.strip_prefix("/rustc/").unwrap();
        assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    #[test]
    fn a_folder_is_written_as_the_package() {
        let argument = remapped("/home/me".as_ref(), "one-1.0".as_ref(), "/out");
        assert_eq!(
            argument.unwrap(),
            "--remap-path-prefix=/home/me=/one-1.0/out"
        );
        assert_eq!(remapped("".as_ref(), "one-1.0".as_ref(), ""), None);
    }
}
