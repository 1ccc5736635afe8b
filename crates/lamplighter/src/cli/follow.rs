//! Following a driver's output: from the gateway's event stream to standard output and standard error.
//!
//! Start with [`follow`]. [`Printer`] is the pure half: entries in, text for either stream out.

use std::io::{ErrorKind, Write};

use api::LogEntry;
use api::log::LogStream;

use super::failure::Failure;
use super::screen::note;
use crate::client::{Received, Subscription};

/// Where a piece of text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// How a driver's output is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Each stream where the driver wrote it, as if it ran here. Who doesn't read any more stops nothing.
    AsDriver,
    /// Both streams to standard output.
    Merged {
        /// Each line begins with its time.
        timestamps: bool,
    },
}

/// Makes text of log entries.
#[derive(Debug)]
pub(super) struct Printer {
    layout: Layout,
    /// Whether the last entry of standard output, and of standard error, left its line open.
    open: [bool; 2],
    pieces: Vec<(Target, String)>,
}

impl Printer {
    /// A printer that has printed nothing yet.
    pub(super) const fn new(layout: Layout) -> Self {
        Self { layout, open: [false; 2], pieces: Vec::new() }
    }

    /// Adds the text of `entry`.
    pub(super) fn push(&mut self, entry: &LogEntry) {
        let Some(stream) = entry.stream else { return self.push_gap(entry) };
        let target = match (self.layout, stream) {
            (Layout::AsDriver, LogStream::Stderr) => Target::Err,
            _ => Target::Out,
        };
        let index = usize::from(stream == LogStream::Stderr);
        if self.layout != Layout::AsDriver && std::mem::take(&mut self.open[1 - index]) {
            // The other stream was in the middle of a long line.
            self.add(Target::Out, "\n".to_owned());
        }
        let open = &mut self.open[index];
        let continues = std::mem::replace(open, entry.partial);
        let mut text = String::new();
        if self.layout == (Layout::Merged { timestamps: true }) && !continues {
            text = format!("{} ", entry.at.as_deref().unwrap_or("-"));
        }
        text.push_str(&entry.text);
        if !entry.partial {
            text.push('\n');
        }
        self.add(target, text);
    }

    fn push_gap(&mut self, entry: &LogEntry) {
        let bytes = entry.dropped_bytes.map(|bytes| format!("{bytes} bytes")).unwrap_or_else(|| "a part".to_owned());
        self.add(Target::Err, format!("[{bytes} of the log are missing here: it reached its largest size]\n"));
    }

    fn add(&mut self, target: Target, text: String) {
        match self.pieces.last_mut() {
            Some((last, piece)) if *last == target => piece.push_str(&text),
            _ => self.pieces.push((target, text)),
        }
    }

    /// What was added since the last call, in order.
    fn take(&mut self) -> Vec<(Target, String)> {
        std::mem::take(&mut self.pieces)
    }

    /// Writes what was added.
    ///
    /// # Errors
    /// [`Failure`] when it can't be written; a closed pipe only counts where nothing else is waited for.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        for (target, text) in self.take() {
            let written = match target {
                Target::Out => write_all(&mut std::io::stdout().lock(), &text),
                Target::Err => write_all(&mut std::io::stderr().lock(), &text),
            };
            match written {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::BrokenPipe && self.layout == Layout::AsDriver => {}
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Err(Failure::reader_gone()),
                Err(error) => return Err(Failure::new(format!("can't write the driver's output: {error}"))),
            }
        }
        Ok(())
    }
}

fn write_all(writer: &mut impl Write, text: &str) -> std::io::Result<()> {
    writer.write_all(text.as_bytes())?;
    writer.flush()
}

/// Prints what `logs` brings until the application has ended, and returns it as it ended; nothing when it was removed.
///
/// # Errors
/// [`Failure`] when the gateway refuses or stays away, or nothing can be printed.
pub(super) async fn follow(mut logs: Subscription, mut printer: Printer) -> Result<Option<api::Application>, Failure> {
    loop {
        let received = match logs.next().await {
            // It was there, and was removed while the gateway could not be reached.
            Err(error) if logs.was_open() && error.is_not_found() => return Ok(None),
            received => received?,
        };
        let first = match received {
            Received::Lost => {
                note("lost the gateway; the application goes on, and its output follows when the gateway is back");
                continue;
            }
            Received::Message(message) => message,
        };
        for message in std::iter::once(first).chain(logs.arrived()) {
            match message.event.as_str() {
                "log" => printer.push(&understood(&message.data)?),
                "end" => {
                    printer.flush()?;
                    return understood(&message.data);
                }
                // What later gateways may tell besides.
                _ => {}
            }
        }
        printer.flush()?;
    }
}

fn understood<T: serde::de::DeserializeOwned>(data: &str) -> Result<T, Failure> {
    serde_json::from_str(data)
        .map_err(|error| Failure::new(format!("the gateway's log stream can't be understood: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn entry(stream: Option<LogStream>, text: &str, partial: bool) -> LogEntry {
        LogEntry {
            cursor: "c".to_owned(),
            attempt: 1,
            at: Some("2026-11-21T12:00:00.123456789Z".to_owned()),
            stream,
            text: text.to_owned(),
            partial,
            dropped_bytes: stream.is_none().then_some(7),
        }
    }

    fn check(layout: Layout, expected: &Expect) {
        let mut printer = Printer::new(layout);
        printer.push(&entry(Some(LogStream::Stdout), "a", false));
        printer.push(&entry(Some(LogStream::Stdout), "long ", true));
        printer.push(&entry(Some(LogStream::Stdout), "line", false));
        printer.push(&entry(Some(LogStream::Stderr), "b", false));
        printer.push(&entry(None, "", false));
        printer.push(&entry(Some(LogStream::Stdout), "", false));
        let shown: String = printer.take().iter().map(|(target, text)| format!("{target:?} {text:?}\n")).collect();
        expected.assert_eq(&shown);
        assert_eq!(printer.take(), []);
    }

    #[test]
    fn a_followed_submission_prints_as_the_driver_did() {
        check(
            Layout::AsDriver,
            &expect![[r#"
                Out "a\nlong line\n"
                Err "b\n[7 bytes of the log are missing here: it reached its largest size]\n"
                Out "\n"
            "#]],
        );
    }

    #[test]
    fn a_long_line_is_ended_when_the_other_stream_comes_between() {
        let mut printer = Printer::new(Layout::Merged { timestamps: false });
        printer.push(&entry(Some(LogStream::Stdout), "long ", true));
        printer.push(&entry(Some(LogStream::Stderr), "b", false));
        printer.push(&entry(Some(LogStream::Stdout), "line", false));
        assert_eq!(printer.take(), [(Target::Out, "long \nb\nline\n".to_owned())]);
    }

    #[test]
    fn logs_are_one_text() {
        check(
            Layout::Merged { timestamps: false },
            &expect![[r#"
                Out "a\nlong line\nb\n"
                Err "[7 bytes of the log are missing here: it reached its largest size]\n"
                Out "\n"
            "#]],
        );
        check(
            Layout::Merged { timestamps: true },
            &expect![[r#"
                Out "2026-11-21T12:00:00.123456789Z a\n2026-11-21T12:00:00.123456789Z long line\n2026-11-21T12:00:00.123456789Z b\n"
                Err "[7 bytes of the log are missing here: it reached its largest size]\n"
                Out "2026-11-21T12:00:00.123456789Z \n"
            "#]],
        );
    }
}
