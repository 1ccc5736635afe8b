//! Where commands print: results to standard output, everything else to standard error.
//!
//! Colours follow gh: on for terminals, and then `CLICOLOR`, `NO_COLOR`, `CLICOLOR_FORCE` and `--color`,
//! each over those before it. A reader that closes the pipe ends a command silently.

use std::io::{ErrorKind, IsTerminal, Write};

use super::failure::Failure;

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ColorChoice {
    /// On terminals
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Standard output and standard error, and what they can show.
#[derive(Debug)]
pub(crate) struct Screen {
    /// What the user wants of colours.
    pub(crate) choice: ColorChoice,
    /// Whether results are coloured.
    pub(crate) colours: bool,
    /// Whether a person reads standard error.
    pub(crate) notes_seen: bool,
}

impl Screen {
    /// The process's own streams.
    pub(crate) fn new(choice: ColorChoice) -> Self {
        Self {
            choice,
            colours: colours(choice, std::io::stdout().is_terminal(), |name| std::env::var(name).ok()),
            notes_seen: std::io::stderr().is_terminal(),
        }
    }

    /// Prints a result to standard output.
    ///
    /// # Errors
    /// A silent [`Failure`] when nobody reads any more, an ordinary one when it can't be written.
    pub(crate) fn print(&mut self, text: &str) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Failure::reader_gone(),
            _ => Failure::new(format!("can't write to standard output: {error}")),
        })
    }

    /// Prints a JSON document to standard output, indented.
    ///
    /// # Errors
    /// As [`Screen::print`].
    pub(crate) fn print_json(&mut self, json: &serde_json::Value) -> Result<(), Failure> {
        self.print(&format!("{json:#}\n"))
    }
}

/// Prints a line to standard error, if anybody listens.
pub(crate) fn note(line: &str) {
    // Nobody is left to tell when this fails.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Whether to colour standard error under `choice`.
pub(crate) fn notes_coloured(choice: ColorChoice) -> bool {
    colours(choice, std::io::stderr().is_terminal(), |name| std::env::var(name).ok())
}

fn colours(choice: ColorChoice, terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
        ColorChoice::Auto if set("NO_COLOR").is_some() => false,
        ColorChoice::Auto if set("CLICOLOR").as_deref() == Some("0") => false,
        ColorChoice::Auto => terminal && set("TERM").is_none_or(|term| term != "dumb"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn colours_follow_terminal_environment_and_flag() {
        let check = |choice: ColorChoice, terminal: bool, set: &[(&str, &str)]| {
            let variable = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            format!("{choice:?} terminal={terminal} {set:?} -> {}\n", colours(choice, terminal, variable))
        };
        let shown = [
            check(ColorChoice::Auto, true, &[]),
            check(ColorChoice::Auto, false, &[]),
            check(ColorChoice::Auto, true, &[("NO_COLOR", "1")]),
            check(ColorChoice::Auto, true, &[("NO_COLOR", "")]),
            check(ColorChoice::Auto, true, &[("TERM", "dumb")]),
            check(ColorChoice::Auto, true, &[("CLICOLOR", "0")]),
            check(ColorChoice::Auto, false, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]),
            check(ColorChoice::Always, false, &[("NO_COLOR", "1")]),
            check(ColorChoice::Never, true, &[("CLICOLOR_FORCE", "1")]),
        ];
        expect![[r#"
            Auto terminal=true [] -> true
            Auto terminal=false [] -> false
            Auto terminal=true [("NO_COLOR", "1")] -> false
            Auto terminal=true [("NO_COLOR", "")] -> true
            Auto terminal=true [("TERM", "dumb")] -> false
            Auto terminal=true [("CLICOLOR", "0")] -> false
            Auto terminal=false [("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")] -> true
            Always terminal=false [("NO_COLOR", "1")] -> true
            Never terminal=true [("CLICOLOR_FORCE", "1")] -> false
        "#]]
        .assert_eq(&shown.concat());
    }
}
