//! Tells everything that would go on for ever that the gateway is going down.

use tokio::sync::watch;

/// A signal that is given once; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Closing {
    given: watch::Sender<bool>,
}

impl Default for Closing {
    fn default() -> Self {
        Self { given: watch::Sender::new(false) }
    }
}

impl Closing {
    /// Gives the signal.
    pub(crate) fn close(&self) {
        self.given.send_replace(true);
    }

    /// Returns once the signal was given, at once if it was given before.
    pub(crate) async fn closed(&self) {
        let mut given = self.given.subscribe();
        // The sender lives in `self`, so waiting can't fail.
        let _ = given.wait_for(|given| *given).await;
    }
}
