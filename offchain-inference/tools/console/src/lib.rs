// SPDX-License-Identifier: Apache-2.0
//! The common part of command line programs: standard output that may be full, and variables of the
//! environment that may be empty.

use std::{
    env,
    fmt::Arguments,
    io::{self, Write},
    process,
};

/// Prints a line to standard output, like `println`. Where that fails, as on a full disk, the
/// program ends with an error in words and exit code 1. `println` would panic.
#[macro_export]
macro_rules! outln {
    ($($arguments:tt)*) => {
        $crate::print_line(::core::format_args!($($arguments)*))
    };
}

/// Prints a line to standard output, or ends the program; see [`outln`].
pub fn print_line(arguments: Arguments) {
    let mut output = io::stdout().lock();
    or_end(writeln!(output, "{arguments}"));
}

/// Prints bytes to standard output, or ends the program; see [`outln`].
pub fn print_bytes(bytes: &[u8]) {
    let mut output = io::stdout().lock();
    or_end(output.write_all(bytes).and_then(|()| output.flush()));
}

fn or_end(written: io::Result<()>) {
    if let Err(error) = written {
        // Nobody is left to tell where this fails, too.
        let _ = writeln!(io::stderr(), "error: standard output: {error}");
        process::exit(1);
    }
}

/// A variable of the environment. An empty one counts as not set.
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_not_set() {
        let [full, empty, none] = [
            "STARLING_TEST_FULL",
            "STARLING_TEST_EMPTY",
            "STARLING_TEST_NO",
        ];
        env::set_var(full, "x");
        env::set_var(empty, "");
        assert_eq!(variable(full).as_deref(), Some("x"));
        assert_eq!(variable(empty), None);
        assert_eq!(variable(none), None);
    }
}
