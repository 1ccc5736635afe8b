//! What a person sees: lines of several jobs in colours, above a status line that is drawn anew.
//!
//! Colours and the status line are for terminals alone; `NO_COLOR` switches the colours off.

use std::{
    env,
    io::{self, IsTerminal, Stdout, Write},
    time::{Duration, Instant},
};

use anstyle::{AnsiColor, Effects, Style};

/// The colour of a job's name.
#[derive(Clone, Copy)]
pub(super) enum Colour {
    /// For one job.
    Cyan,
    /// For another.
    Magenta,
}

impl Colour {
    fn style(self) -> Style {
        match self {
            Self::Cyan => AnsiColor::Cyan.on_default(),
            Self::Magenta => AnsiColor::Magenta.on_default(),
        }
    }
}

/// The way to standard output.
pub(super) struct Screen<W = Stdout> {
    out: W,
    has_status_line: bool,
    has_colours: bool,
    status: String,
    ticked: Instant,
}

impl Screen {
    /// Standard output, with what it can show.
    pub(super) fn of_stdout() -> Self {
        let is_terminal = io::stdout().is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb");
        let wants_colours = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self::new(io::stdout(), is_terminal, is_terminal && wants_colours)
    }
}

impl<W: Write> Screen<W> {
    fn new(out: W, has_status_line: bool, has_colours: bool) -> Self {
        Self { out, has_status_line, has_colours, status: String::new(), ticked: Instant::now() }
    }

    /// Whether `interval` has passed since this was last true.
    pub(super) fn is_tick_due(&mut self, interval: Duration) -> bool {
        let is_due = self.ticked.elapsed() >= interval;
        if is_due {
            self.ticked = Instant::now();
        }
        is_due
    }

    /// A line of a job; details are dimmed.
    pub(super) fn line(&mut self, job: &str, colour: Colour, text: &str, is_detail: bool) {
        let style = if is_detail { Style::new().effects(Effects::DIMMED) } else { Style::new() };
        let line = format!("{} {}", self.paint(&format!("{job:<8}│"), colour.style()), self.paint(text, style));
        self.print(&line);
    }

    /// A new state of a job.
    pub(super) fn state(&mut self, job: &str, colour: Colour, state: &str) {
        let style = match state {
            "succeeded" => AnsiColor::Green.on_default(),
            "failed" | "cancelled" => AnsiColor::Red.on_default(),
            _ => AnsiColor::Yellow.on_default(),
        };
        let name = self.paint(&format!("{job:<8}│"), colour.style());
        let line = format!("{name} {}", self.paint(&format!("● {state}"), style.effects(Effects::BOLD)));
        self.print(&line);
    }

    /// The title of what follows.
    pub(super) fn heading(&mut self, text: &str) {
        let line = format!("\n{}", self.paint(text, Style::new().effects(Effects::BOLD)));
        self.print(&line);
    }

    /// Plain text.
    pub(super) fn text(&mut self, text: &str) {
        self.print(text);
    }

    /// Replaces the status line; empty text removes it.
    pub(super) fn status(&mut self, text: &str) {
        self.status = if self.has_status_line { text.to_owned() } else { String::new() };
        if self.has_status_line {
            let status = self.paint(text, Style::new().effects(Effects::INVERT));
            self.write(&format!("\r\x1b[2K{status}"));
        }
    }

    fn print(&mut self, text: &str) {
        if self.status.is_empty() {
            self.write(&format!("{text}\n"));
        } else {
            let status = self.paint(&self.status, Style::new().effects(Effects::INVERT));
            self.write(&format!("\r\x1b[2K{text}\n{status}"));
        }
    }

    fn paint(&self, text: &str, style: Style) -> String {
        if self.has_colours && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// A reader that went away (`make demo | head`) is no reason to leave the gateway running: it ends as always.
    fn write(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn shown(has_status_line: bool, has_colours: bool) -> String {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, has_status_line, has_colours);
        screen.line("pi", Colour::Cyan, "INFO started", true);
        screen.status("pi running 1 s");
        screen.state("pi", Colour::Cyan, "succeeded");
        screen.status("");
        screen.text("bye");
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_file_gets_plain_lines() {
        assert_eq!(shown(false, false), "pi      │ INFO started\npi      │ ● succeeded\nbye\n");
    }

    #[test]
    fn a_terminal_without_colours_gets_a_status_line() {
        let clear = "\r\x1b[2K";
        let expected = format!(
            "pi      │ INFO started\n{clear}pi running 1 s{clear}pi      │ ● succeeded\npi running 1 s{clear}bye\n"
        );
        assert_eq!(shown(true, false), expected);
    }

    #[test]
    fn a_terminal_gets_colours() {
        let text = shown(true, true);
        assert!(text.contains("\x1b[36mpi      │\x1b[0m \x1b[2mINFO started\x1b[0m\n"), "{text:?}");
        assert!(text.contains("\x1b[32m● succeeded\x1b[0m"), "{text:?}");
    }
}
