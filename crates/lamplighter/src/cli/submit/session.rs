//! From the submission to the application's end, as if the driver ran in this terminal.
//!
//! Start with [`run`]. Interrupts (Ctrl-C, SIGTERM) are caught from before the request is sent, so that none can
//! slip between the submission and its following: the first cancels the application, the second stops waiting.

use std::pin::pin;

use api::ApplicationCreate;
use api::application::State;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Flags;
use super::changes::Changes;
use crate::cli::failure::Failure;
use crate::cli::follow::{Layout, Printer, follow};
use crate::cli::screen::note;
use crate::cli::table::printable;
use crate::cli::{Context, show, view};
use crate::client::{Answer, Client};

/// Submits `create`, follows it unless told otherwise, and returns the exit code.
///
/// # Errors
/// [`Failure`] when it isn't accepted or can't be followed.
pub(super) async fn run(
    mut context: Context,
    create: &ApplicationCreate,
    flags: &Flags,
    verbose: bool,
) -> Result<u8, Failure> {
    let mut interrupts = Interrupts::new()?;
    let answer = match send(&context.client, create, flags, &mut interrupts).await? {
        Sent::Accepted(answer) => answer,
        Sent::Unknown(code) => {
            note("whether it was submitted is not known; `lamplighter ps --all` tells");
            return Ok(code);
        }
    };
    if verbose {
        note(show::describe(&answer.value, view::now(), false).trim_end());
    }
    if flags.detach && interrupts.first.is_none() {
        return print_submitted(&mut context, &answer, flags);
    }
    let id = answer.value.id;
    if !flags.quiet {
        note(&format!("submitted {id}"));
    }
    let watched = context.screen.notes_seen && !flags.quiet;
    let changes = watched.then(|| Changes::new(&context.client, &id));
    let following = Following { client: &context.client, id: &id, changes, watched, quiet: flags.quiet };
    following.run(interrupts).await
}

fn print_submitted(context: &mut Context, answer: &Answer<api::Application>, flags: &Flags) -> Result<u8, Failure> {
    match flags.output {
        Some(document) => document.print(&mut context.screen, &answer.json)?,
        None => context.screen.print(&format!("{}\n", answer.value.id))?,
    }
    Ok(0)
}

enum Sent {
    Accepted(Box<Answer<api::Application>>),
    /// Interrupted twice before the answer came; the exit code.
    Unknown(u8),
}

async fn send(
    client: &Client,
    create: &ApplicationCreate,
    flags: &Flags,
    interrupts: &mut Interrupts,
) -> Result<Sent, Failure> {
    let key = flags.idempotency_key.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let mut request = pin!(client.create(create, &key));
    loop {
        tokio::select! {
            answer = &mut request => return Ok(Sent::Accepted(Box::new(answer?))),
            again = interrupts.next() => if let Some(code) = again {
                return Ok(Sent::Unknown(code));
            },
        }
    }
}

struct Following<'a> {
    client: &'a Client,
    id: &'a str,
    /// State changes, where a person sees them.
    changes: Option<Changes>,
    /// Whether a person sees our notes, and wants them.
    watched: bool,
    quiet: bool,
}

impl Following<'_> {
    async fn run(mut self, mut interrupts: Interrupts) -> Result<u8, Failure> {
        let logs = self.client.follow_logs(self.id, &[]);
        let mut output = pin!(follow(logs, Printer::new(Layout::AsDriver)));
        let mut cancelling = interrupts.first.is_some().then(|| self.cancel());
        let ended = loop {
            tokio::select! {
                ended = &mut output => break ended.map_err(|failure| self.can_be_resumed(failure))?,
                again = interrupts.next() => match again {
                    None => cancelling = Some(self.cancel()),
                    Some(code) => {
                        self.leave(cancelling.as_ref());
                        return Ok(code);
                    }
                },
                change = next(&mut self.changes) => note(&printable(&change)),
            }
        };
        Ok(self.end(ended.as_ref(), &interrupts))
    }

    /// Wishes for the end, until the gateway has heard it.
    fn cancel(&self) -> tokio::task::JoinHandle<()> {
        if !self.quiet {
            note(&format!("cancelling {}; once more to stop waiting for its end", self.id));
        }
        let (client, id) = (self.client.clone(), self.id.to_owned());
        tokio::spawn(async move {
            if let Err(error) = client.cancel_surely(&id).await {
                note(&format!("can't cancel {id}: {error}"));
            }
        })
    }

    fn leave(&self, cancelling: Option<&tokio::task::JoinHandle<()>>) {
        let heard = cancelling.is_some_and(tokio::task::JoinHandle::is_finished);
        note(&if heard {
            format!("{} is being cancelled; `lamplighter wait {0}` waits for its end", self.id)
        } else {
            format!("the gateway has not heard that {} is to be cancelled; `lamplighter kill {0}` tells it", self.id)
        });
    }

    fn end(&self, ended: Option<&api::Application>, interrupts: &Interrupts) -> u8 {
        let Some(application) = ended else {
            note(&format!("{} was removed", self.id));
            return interrupts.first.unwrap_or(1);
        };
        if self.watched || application.state == State::Failed {
            let sentence = view::sentence(application.state, application.reason.as_ref());
            note(&printable(&format!("{} {sentence}", self.id)));
        }
        match (application.state, interrupts.first) {
            (State::Cancelled, Some(code)) => code,
            _ => view::exit_code(application),
        }
    }

    fn can_be_resumed(&self, failure: Failure) -> Failure {
        if !failure.is_unreachable() {
            return failure;
        }
        failure.with_hint(format!("the application goes on; `lamplighter logs -f {}` follows it again", self.id))
    }
}

async fn next(changes: &mut Option<Changes>) -> String {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

/// Ctrl-C and SIGTERM, and which came first.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    /// The exit code for the first of them, as a shell would have it.
    first: Option<u8>,
}

impl Interrupts {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::new(format!("can't listen for signals: {error}")));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            first: None,
        })
    }

    /// Waits for one; the first is noted, for each later one there is the exit code.
    async fn next(&mut self) -> Option<u8> {
        let code = tokio::select! {
            _ = self.interrupt.recv() => 128 + 2,
            _ = self.terminate.recv() => 128 + 15,
        };
        match self.first {
            None => {
                self.first = Some(code);
                None
            }
            Some(first) => Some(first),
        }
    }
}
