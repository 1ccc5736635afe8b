//! Many more kills than the tests do, of the release binary.

use anyhow::Result;
use testkit::kill::{self, Plan};

use crate::Context;
use crate::report::{Section, Target};

/// Kills the gateway and judges what became of everything.
pub(crate) fn measure(context: &Context) -> Result<Vec<Section>> {
    let plan = Plan {
        seed: 6,
        applications: u32::try_from(context.times(750))?,
        kills: u32::try_from(context.times(500))?,
        clients: 8,
        binary: context.binary.clone(),
        config: "local:\n  places: 8\n  stop_grace: 2s\n".to_owned(),
    };
    let report = kill::run(&plan)?;
    println!("{report}");
    let mut section = Section::new("kill");
    section.figure(
        "kills −9 at random instants",
        Target::AtLeast(f64::from(plan.kills)),
        f64::from(report.kill_count()),
        "",
    );
    section.figure(
        "applications acknowledged",
        Target::AtLeast(f64::from(plan.applications)),
        f64::from(report.acknowledged),
        "",
    );
    section.figure("promises broken", Target::AtMost(0.0), report.problems.len() as f64, "");
    let ready = report.ready_after_max.as_secs_f64() * 1e3;
    section.figure("longest time to be ready again", Target::Nothing, ready, "ms");
    Ok(vec![section])
}
