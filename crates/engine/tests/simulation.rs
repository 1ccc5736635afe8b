//! The proof that the engine loses nothing and runs nothing twice: every effect of every lifecycle goes wrong in
//! every way, once each, and then at random.
//!
//! A failure prints the name of its run. To see what happened in it:
//! `LAMPLIGHTER_SIMULATE=NAME cargo test -p engine --test simulation replay -- --nocapture`

#![allow(clippy::panic, reason = "a test fails by panicking")]

use testkit::environment::{is_fast, is_whole_run};
use testkit::simulation::{Fault, Faults, Run, SCENARIOS, Sabotage, Scenario};

/// Holds the laws against a run; panics with its trace when one is broken.
fn check(run: Run) -> u32 {
    let report = run.check();
    if let Some(broken) = &report.broken_law {
        let tail = report.trace.len().saturating_sub(120);
        let trace = report.trace[tail..].join("\n");
        panic!(
            "{broken}\n{trace}\nreplay: LAMPLIGHTER_SIMULATE={run} cargo test -p engine --test simulation replay -- --nocapture"
        );
    }
    report.effects
}

/// Exactly one fault, of every kind at every effect.
fn single_faults(effects: u32) -> impl Iterator<Item = Faults> {
    (0..effects).flat_map(|effect| Fault::ALL.into_iter().map(move |fault| Faults::One { effect, fault }))
}

/// Of every how many single faults one is tried: each, unless only a sample is wanted. The step shares no divisor with
/// the number of kinds, so that a sample has all of them.
fn sampling() -> usize {
    if is_fast() { Fault::ALL.len() + 1 } else { 1 }
}

#[test]
fn nothing_goes_wrong_by_itself() {
    for scenario in SCENARIOS {
        for seed in 0..5 {
            check(Run::new(scenario, seed, Faults::None));
        }
    }
}

#[test]
fn every_effect_goes_wrong_in_every_way() {
    let mut runs = 0_u32;
    for scenario in SCENARIOS {
        let effects = check(Run::new(scenario, 0, Faults::None));
        for faults in single_faults(effects).step_by(sampling()) {
            check(Run::new(scenario, 0, faults));
            runs += 1;
        }
    }
    println!("{runs} single faults in {} lifecycles", SCENARIOS.len());
    assert!(runs as usize > 9_000 / sampling(), "only {runs} faults were tried");
}

#[test]
fn many_things_go_wrong_at_random() {
    let seeds = if is_fast() { 8 } else { 60 };
    for scenario in SCENARIOS {
        for seed in 0..seeds {
            for permille in [20, 100, 250] {
                check(Run::new(scenario, seed, Faults::Random { permille }));
            }
        }
    }
}

#[test]
fn wrong_engines_are_found_out() {
    if !is_whole_run("wrong_engines_are_found_out") {
        return;
    }
    for sabotage in Sabotage::ALL {
        assert!(SCENARIOS.iter().any(|scenario| is_found_out(scenario, sabotage)), "{sabotage:?} was not found out");
    }
}

/// Whether a law is broken, in an undisturbed run or with some single fault.
fn is_found_out(scenario: &'static Scenario, sabotage: Sabotage) -> bool {
    let breaks = |faults| Run { sabotage, ..Run::new(scenario, 0, faults) }.check().broken_law.is_some();
    let effects = Run { sabotage, ..Run::new(scenario, 0, Faults::None) }.check().effects;
    breaks(Faults::None) || single_faults(effects.min(60)).any(breaks)
}

#[test]
fn the_same_run_does_the_same() {
    for scenario in SCENARIOS {
        let run = Run::new(scenario, 7, Faults::Random { permille: 150 });
        assert_eq!(run.trace().trace, run.trace().trace, "{run}");
        assert_eq!(run.to_string().parse::<Run>().ok(), Some(run));
    }
}

#[test]
fn replay() {
    let Ok(name) = std::env::var("LAMPLIGHTER_SIMULATE") else { return };
    let run: Run = name.parse().unwrap_or_else(|error| panic!("{error}"));
    let report = run.trace();
    println!("{}", report.trace.join("\n"));
    println!("{} effects, {}", report.effects, report.broken_law.as_deref().unwrap_or("every law holds"));
}
