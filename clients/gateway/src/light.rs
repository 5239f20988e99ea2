// SPDX-License-Identifier: Apache-2.0
//! The light client that pages verify answers with: the npm package `smoldot`, which is installed
//! beside the gateway and not a part of it.

use std::{collections::BTreeMap, fs, io, path::Path};

/// The folder of the light client in addresses.
pub const FOLDER: &str = "/light-client/";

/// The folder of its modules in the package.
const MODULES: &str = "dist/mjs";

/// The module that a page loads.
const ENTRY: &str = "index-browser.js";

/// The most folders within each other. Those of the package are two.
const DEEP: usize = 4;

/// The modules of the package by their path. None where it is not installed.
#[derive(Debug, Default)]
pub struct LightClient(BTreeMap<String, Vec<u8>>);

impl LightClient {
    /// Reads the modules of the package in `folder`.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        collect(&folder.join(MODULES), "", DEEP, &mut files)?;
        if !files.contains_key(ENTRY) {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("there is no {MODULES}/{ENTRY}; it is no package of smoldot"),
            ));
        }
        Ok(Self(files))
    }

    /// The module with a path such as `internals/client.js`.
    pub fn module(&self, path: &str) -> Option<&[u8]> {
        self.0.get(path).map(Vec::as_slice)
    }
}

/// Collects the modules of a folder and of those in it.
fn collect(
    folder: &Path,
    prefix: &str,
    deep: usize,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let path = format!("{prefix}{name}");
        let is_folder = entry.file_type()?.is_dir();
        if is_folder && deep > 0 {
            let prefix = format!("{path}/");
            collect(&entry.path(), &prefix, deep.saturating_sub(1), files)?;
        } else if !is_folder && name.ends_with(".js") {
            files.insert(path, fs::read(entry.path())?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modules_of_a_package_are_known_by_their_path_and_nothing_else_is() {
        let package = tempfile::tempdir().unwrap();
        let modules = package.path().join(MODULES);
        fs::create_dir_all(modules.join("internals")).unwrap();
        fs::write(package.path().join("secret.js"), "no").unwrap();
        fs::write(modules.join("index-browser.d.ts"), "no").unwrap();
        fs::write(modules.join("internals").join("client.js"), "inner").unwrap();
        let missing = LightClient::read(package.path()).unwrap_err();
        assert!(missing.to_string().contains(ENTRY), "{missing}");
        fs::write(modules.join(ENTRY), "outer").unwrap();
        let client = LightClient::read(package.path()).unwrap();
        assert_eq!(client.module(ENTRY), Some(&b"outer"[..]));
        assert_eq!(client.module("internals/client.js"), Some(&b"inner"[..]));
        for path in [
            "",
            "internals",
            "index-browser.d.ts",
            "../../secret.js",
            "internals/../index-browser.js",
        ] {
            assert_eq!(client.module(path), None, "{path}");
        }
        assert_eq!(LightClient::default().module(ENTRY), None);
        assert!(LightClient::read(&package.path().join("nowhere")).is_err());
    }
}
