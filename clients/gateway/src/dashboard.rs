// SPDX-License-Identifier: Apache-2.0
//! The dashboard: its files, which are in the program, and the headers that they are served with.

use axum::{
    http::{header, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};

/// Lets a page load what is here and nothing else, and run no text as a script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

const HEADERS: [(&str, &str); 5] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    // A gateway of another release has other files under the same names.
    ("cache-control", "no-cache"),
];

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

static FILES: [File; 15] = [
    file!("agents.js"),
    file!("app.js"),
    file!("ask.js"),
    file!("chart.js"),
    file!("elements.js"),
    file!("format.js"),
    file!("gateway.js"),
    file!("icon.svg"),
    file!("matrix.js"),
    file!("poll.js"),
    file!("round.js"),
    file!("rounds.js"),
    file!("settings.js"),
    file!("stream.js"),
    file!("style.css"),
];

impl File {
    fn kind(&self) -> &'static str {
        match self.name.rsplit_once('.') {
            Some((_, "html")) => "text/html; charset=utf-8",
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "js")) => "text/javascript; charset=utf-8",
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
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_page = matches!(path, "/" | "/ask" | "/agents" | "/settings")
        || path.strip_prefix("/round/").is_some_and(is_number);
    is_page.then_some(&INDEX)
}

/// The response to a request for a path that no endpoint has.
pub fn respond(path: &str) -> Response {
    let mut response = match find(path) {
        Some(file) => ([(header::CONTENT_TYPE, file.kind())], file.content).into_response(),
        None => (StatusCode::NOT_FOUND, "there is no such page\n").into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
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
        let response = respond(path);
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
            ("/round/7", "text/html; charset=utf-8"),
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
            "/page/",
            "/page/index.html",
            "/page/../Cargo.toml",
            "/page/app.js/",
            "/v1/nothing",
        ] {
            assert_eq!(respond(path).status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn every_file_of_the_folder_is_in_the_program() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../dashboard/page");
        let there: BTreeSet<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let known = FILES.iter().chain([&INDEX]);
        let known: BTreeSet<_> = known.map(|file| file.name.to_owned()).collect();
        assert_eq!(there, known);
    }
}
