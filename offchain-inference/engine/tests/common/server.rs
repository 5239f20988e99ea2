// SPDX-License-Identifier: Apache-2.0
//! llama.cpp's own server, from the `xllamacpp` wheel.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

const XLLAMACPP: &str = "xllamacpp==2026.10.11549";

/// Prints the server's address when the model is loaded, and serves until its input is closed.
const SERVE: &str = r#"
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.port = int(sys.argv[2])
params.n_ctx, params.n_parallel, params.warmup = 2048, 1, False
server = xllamacpp.Server(params)
print("listening", server.listening_address, flush=True)
sys.stdin.read()
"#;

/// llama.cpp's server in a child process, ended when dropped.
pub struct Server {
    child: Child,
    /// Its base URL, up to the version.
    pub url: String,
}

impl Server {
    /// Serves a model on any free port. The package is installed if need be.
    pub fn start(model: &Path) -> Self {
        Self::start_at(model, 0)
    }

    /// As [`Self::start`], on this port; 0 for any that is free.
    pub fn start_at(model: &Path, port: u16) -> Self {
        let packages = Path::new(env!("CARGO_TARGET_TMPDIR")).join("xllamacpp");
        if !packages.is_dir() {
            let pip = std::env::var_os("STARLING_PIP");
            let mut install = match &pip {
                Some(pip) => Command::new(pip),
                None => Command::new("python3"),
            };
            if pip.is_none() {
                install.args(["-m", "pip"]);
            }
            // Moved into place when it is whole.
            let partial = packages.with_extension("partial");
            let installed = install
                .args([
                    "install",
                    "--quiet",
                    "--upgrade",
                    "--only-binary=:all:",
                    "--target",
                ])
                .arg(&partial)
                .arg(XLLAMACPP)
                .status();
            assert!(
                installed.is_ok_and(|status| status.success()),
                "this test needs python3 with pip and the package {XLLAMACPP}"
            );
            std::fs::rename(partial, &packages).unwrap();
        }
        let mut child = Command::new("python3")
            .args(["-c", SERVE])
            .arg(model)
            .arg(port.to_string())
            .env("PYTHONPATH", &packages)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let line = out
            .lines()
            .map_while(Result::ok)
            .find(|line| line.starts_with("listening "));
        let line = line.expect("the server loads the model");
        let url = format!(
            "{}/v1",
            line.trim_start_matches("listening ").trim_end_matches('/')
        );
        Self { child, url }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
