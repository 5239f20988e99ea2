// SPDX-License-Identifier: Apache-2.0
//! Reads the commands of a page of results, so that a page names exactly what is run.

/// The beginning of a line that calls this program.
const CALL: &str = "cargo run --release -p starling-simulation -- ";

/// The arguments of each call in the page's code blocks. A backslash at the end of a line continues
/// it; there is no quoting.
pub fn commands(page: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    let mut code = false;
    let mut line = String::new();
    for part in page.lines() {
        if part.starts_with("```") {
            code = !code;
        } else if code {
            let (text, goes_on) = match part.strip_suffix('\\') {
                Some(text) => (text, true),
                None => (part, false),
            };
            line.push_str(text);
            if !goes_on {
                let call = std::mem::take(&mut line);
                let words = call.strip_prefix(CALL).map(str::split_whitespace);
                commands.extend(words.map(|words| words.map(str::to_owned).collect()));
            }
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_from_blocks_of_code_alone() {
        let page = format!(
            "{CALL}no code\n```text\n{CALL}ratings --seeds 2 \\\n    --out here\n{CALL}speed\n\
             # {CALL}comment\n```\n{CALL}no code\n"
        );
        let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        assert_eq!(
            commands(&page),
            [words("ratings --seeds 2 --out here"), words("speed")]
        );
    }
}
