//! The words Livy has for the states of a batch.

use model::state::State;

/// Livy's word for a state.
///
/// Livy has no word for waiting in a queue, which shows as `starting`, and none for being stopped: while a
/// DELETE is under way it says `killed`. Clients refuse words they do not know (Airflow for one), so there
/// will never be another.
pub const fn word(state: State) -> &'static str {
    match state {
        State::Accepted | State::Starting => "starting",
        State::Running => "running",
        State::Succeeded => "success",
        State::Failed => "dead",
        State::Stopping | State::Cancelled => "killed",
    }
}
