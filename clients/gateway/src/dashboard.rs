// SPDX-License-Identifier: Apache-2.0
//! The dashboard: its files, which are in the program, and the headers that they are served with.

use axum::{
    http::{header, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};

use crate::light::{self, LightClient};

/// Lets a page load what is here and nothing else, and run no text as a script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

/// The document of the light client runs WebAssembly, and connects to nodes. Own pages alone may
/// frame it, and it shows nothing.
const LIGHT_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; \
                            img-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; \
                            form-action 'none'; frame-ancestors 'self'; \
                            require-trusted-types-for 'script'; trusted-types 'none'";

const HEADERS: [(&str, &str); 4] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    // A gateway of another release has other files under the same names.
    ("cache-control", "no-cache"),
];

/// The address of the light client's document.
const LIGHT_PATH: &str = "/light";

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The folder of the files in addresses.
const FOLDER: &str = "/page/";

/// A file.
struct File {
    name: &'static str,
    content: &'static [u8],
}

macro_rules! file {
    ($name:literal) => {
        File {
            name: $name,
            content: include_bytes!(concat!("../../dashboard/page/", $name)),
        }
    };
}

static INDEX: File = file!("index.html");
static LIGHT: File = file!("light.html");

static FILES: [File; 21] = [
    file!("agents.js"),
    file!("app.js"),
    file!("ask.js"),
    file!("chart.js"),
    file!("dispute.js"),
    file!("disputes.js"),
    file!("elements.js"),
    file!("format.js"),
    file!("gateway.js"),
    file!("icon.svg"),
    file!("light.js"),
    file!("matrix.js"),
    file!("poll.js"),
    file!("proof.js"),
    file!("round.js"),
    file!("rounds.js"),
    file!("settings.js"),
    file!("shards.js"),
    file!("stream.js"),
    file!("style.css"),
    file!("verify.js"),
];

impl File {
    fn kind(&self) -> &'static str {
        match self.name.rsplit_once('.') {
            Some((_, "html")) => "text/html; charset=utf-8",
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "js")) => SCRIPT,
            Some((_, "svg")) => "image/svg+xml",
            _ => "application/octet-stream",
        }
    }
}

/// The file at a path. The addresses of pages have one file, which shows the page.
fn find(path: &str) -> Option<&'static File> {
    if let Some(name) = path.strip_prefix(FOLDER) {
        return FILES.iter().find(|file| file.name == name);
    }
    if path == LIGHT_PATH {
        return Some(&LIGHT);
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let pages = ["/", "/ask", "/agents", "/shards", "/disputes", "/settings"];
    let is_one = |folder: &str| path.strip_prefix(folder).is_some_and(is_number);
    let is_page = pages.contains(&path) || is_one("/round/") || is_one("/dispute/");
    is_page.then_some(&INDEX)
}

/// The module of the light client at a path.
fn module<'a>(light: &'a LightClient, path: &str) -> Option<&'a [u8]> {
    light.module(path.strip_prefix(light::FOLDER)?)
}

/// The response to a request for a path that no endpoint has.
pub fn respond(path: &str, light: &LightClient) -> Response {
    let mut response = match (find(path), module(light, path)) {
        (Some(file), _) => ([(header::CONTENT_TYPE, file.kind())], file.content).into_response(),
        (None, Some(module)) => ([(header::CONTENT_TYPE, SCRIPT)], module.to_vec()).into_response(),
        (None, None) => (StatusCode::NOT_FOUND, "there is no such page\n").into_response(),
    };
    let policy = match path {
        LIGHT_PATH => LIGHT_POLICY,
        _ => POLICY,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS
        .into_iter()
        .chain([("content-security-policy", policy)])
    {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    response
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;

    fn header_of(path: &str, name: &str) -> (StatusCode, String) {
        let response = respond(path, &LightClient::default());
        let value = response.headers().get(name);
        let value = value.map(|value| value.to_str().unwrap().to_owned());
        (response.status(), value.unwrap_or_default())
    }

    #[test]
    fn every_file_is_served_with_its_type() {
        for (path, kind) in [
            ("/", "text/html; charset=utf-8"),
            ("/ask", "text/html; charset=utf-8"),
            ("/agents", "text/html; charset=utf-8"),
            ("/settings", "text/html; charset=utf-8"),
            ("/shards", "text/html; charset=utf-8"),
            ("/disputes", "text/html; charset=utf-8"),
            ("/light", "text/html; charset=utf-8"),
            ("/round/7", "text/html; charset=utf-8"),
            ("/dispute/3", "text/html; charset=utf-8"),
            ("/page/app.js", "text/javascript; charset=utf-8"),
            ("/page/style.css", "text/css; charset=utf-8"),
            ("/page/icon.svg", "image/svg+xml"),
        ] {
            let expected = (StatusCode::OK, kind.to_owned());
            assert_eq!(header_of(path, "content-type"), expected, "{path}");
        }
        for file in &FILES {
            let (status, kind) = header_of(&format!("{FOLDER}{}", file.name), "content-type");
            assert_eq!(status, StatusCode::OK, "{}", file.name);
            assert_ne!(kind, "application/octet-stream", "{}", file.name);
        }
    }

    #[test]
    fn every_response_has_the_policy_and_allows_no_other_origin() {
        for path in [
            "/",
            "/round/7",
            "/page/app.js",
            "/page/icon.svg",
            "/nowhere",
        ] {
            let (_, policy) = header_of(path, "content-security-policy");
            assert!(policy.starts_with("default-src 'none'; "), "{path}");
            for word in ["unsafe", "http", "data:", "blob:", "*"] {
                assert!(!policy.contains(word), "{path}: {word}");
            }
            assert_eq!(header_of(path, "x-content-type-options").1, "nosniff");
        }
    }

    #[test]
    fn only_the_light_client_runs_web_assembly_and_connects_to_nodes_and_own_pages_frame_it() {
        let (_, light) = header_of(LIGHT_PATH, "content-security-policy");
        let (_, page) = header_of("/", "content-security-policy");
        for word in ["'wasm-unsafe-eval'", " ws: wss:", "frame-ancestors 'self'"] {
            assert!(light.contains(word) && !page.contains(word), "{word}");
        }
        assert!(!light.contains("'unsafe"), "{light}");
    }

    #[test]
    fn the_light_client_is_served_where_it_is_installed() {
        let package = tempfile::tempdir().unwrap();
        let modules = package.path().join("dist").join("mjs");
        fs::create_dir_all(&modules).unwrap();
        fs::write(modules.join("index-browser.js"), "export {};").unwrap();
        let installed = LightClient::read(package.path()).unwrap();
        let path = format!("{}index-browser.js", light::FOLDER);
        let response = respond(&path, &installed);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], SCRIPT);
        let without = respond(&path, &LightClient::default());
        assert_eq!(without.status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn unknown_paths_are_not_found() {
        for path in [
            "",
            "/nowhere",
            "/round",
            "/round/",
            "/round/x",
            "/round/-1",
            "/round/+1",
            "/round/7/",
            "/dispute",
            "/dispute/",
            "/dispute/x",
            "/disputes/",
            "/disputes/3",
            "/page/",
            "/page/index.html",
            "/page/light.html",
            "/light/",
            "/light-client/",
            "/light-client/../Cargo.toml",
            "/page/../Cargo.toml",
            "/page/app.js/",
            "/v1/nothing",
        ] {
            let (status, _) = header_of(path, "content-type");
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn every_file_of_the_folder_is_in_the_program() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../dashboard/page");
        let there: BTreeSet<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let known = FILES.iter().chain([&INDEX, &LIGHT]);
        let known: BTreeSet<_> = known.map(|file| file.name.to_owned()).collect();
        assert_eq!(there, known);
    }
}
