//! The table of states, held against its own promises.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use model::state::{EVIDENCE_BYTES_MAX, Exit, Reason, ReasonCode, State, TRANSITIONS};
use proptest::prelude::*;

fn any_state() -> impl Strategy<Value = State> {
    proptest::sample::select(State::ALL.to_vec())
}

proptest! {
    /// Whatever changes are tried, in whatever order: only edges of the table are taken, and an end stays.
    #[test]
    fn only_legal_edges_are_reachable(tries in proptest::collection::vec(any_state(), 0..64)) {
        let mut state = State::Accepted;
        for next in tries {
            if state.may_become(next) {
                prop_assert!(TRANSITIONS.contains(&(state, next)));
                prop_assert!(!state.is_terminal(), "{state} was left");
                state = next;
            }
        }
    }

    #[test]
    fn back_off_grows_to_a_bound(failed in 1_u32..10_000) {
        for code in ReasonCode::ALL {
            let Some(wait) = code.backoff(failed) else { continue };
            prop_assert!(wait <= Duration::from_secs(300));
            prop_assert!(code.backoff(failed + 1).unwrap() >= wait);
        }
    }

    #[test]
    fn evidence_is_bounded_text(text in any::<String>(), repeat in 1_usize..40) {
        let reason = Reason::with_evidence(ReasonCode::ExitCode, &text.repeat(repeat));
        prop_assert!(reason.evidence.unwrap().len() <= EVIDENCE_BYTES_MAX);
    }
}

#[test]
fn ends_are_final_and_can_be_reached() {
    for state in State::ALL {
        let leaves = TRANSITIONS.iter().any(|(from, _)| *from == state);
        let is_reached = state == State::Accepted || TRANSITIONS.iter().any(|(_, to)| *to == state);
        assert_eq!(leaves, !state.is_terminal(), "{state}");
        assert!(is_reached, "{state}");
        assert!(!(state.is_terminal() && state.is_active()), "{state}");
    }
}

#[test]
fn words_read_back() {
    for state in State::ALL {
        assert_eq!(state.as_str().parse::<State>(), Ok(state));
    }
    for code in ReasonCode::ALL {
        assert_eq!(code.as_str().parse::<ReasonCode>(), Ok(code));
        assert!(code.terminal_state().is_terminal());
        assert!(!code.explanation().ends_with('.'), "{code}");
    }
}

/// A program's own failure must never be repeated: it may have done half of its work.
#[test]
fn only_losses_are_tried_again() {
    let retried: Vec<&str> =
        ReasonCode::ALL.iter().filter(|code| code.first_backoff().is_some()).map(|code| code.as_str()).collect();
    let losses = [
        "killed_by_signal",
        "supervisor_lost",
        "host_rebooted",
        "driver_lost",
        "evicted",
        "preempted",
        "node_lost",
        "pod_deleted",
    ];
    assert_eq!(retried, losses);
}

#[test]
fn exits_have_a_shells_codes() {
    assert_eq!((Exit::Code(3).code(), Exit::Signal(9).code()), (3, 137));
    assert!(Exit::Code(0).is_success() && !Exit::Signal(15).is_success());
}
