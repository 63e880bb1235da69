//! Whether who reads is at a terminal that takes colour.
//!
//! Owns the variables that say so; knows nothing of what is written to it.

use std::{env, ffi::OsStr, io::IsTerminal};

/// Whether to colour what is written to a stream: to a terminal, unless `$NO_COLOR` is set and not empty, or `$TERM`
/// names one that takes none.
///
/// Source: <https://no-color.org>.
pub fn takes_colour(stream: &impl IsTerminal) -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == OsStr::new("dumb"));
    stream.is_terminal() && !is_set("NO_COLOR") && !dumb
}
