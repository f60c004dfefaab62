//! What starting the program costs, over an empty one.

use crate::Effort;
use crate::contender::{DIRS, Programs};
use crate::error::Error;
use crate::launch::{Call, Launcher};
use crate::report::{Findings, Table, Verdict};
use crate::sample::{Sample, number, times};

/// Measures it.
pub(crate) fn measure(programs: &Programs, effort: Effort) -> Result<Findings, Error> {
    let rounds = if effort == Effort::Quick { 100 } else { 1000 };
    let mut calls = vec![
        ("an empty static program".to_owned(), Call::new(&programs.empty, "")),
        ("`zubi --version`".to_owned(), Call::new(&programs.zubi, "--version").env(&DIRS)),
    ];
    for (program, version) in &programs.netavarks {
        calls.push((format!("netavark {version} `--version`"), Call::new(program, "--version")));
    }
    let mut samples: Vec<Sample> = calls.iter().map(|_| Sample::new()).collect();
    for _ in 0..rounds {
        for ((_, call), sample) in calls.iter().zip(&mut samples) {
            sample.push_time(Launcher::Timed.run(call)?);
        }
    }
    let floor = samples[0].median();
    let mut table = Table::new("Starting the program", &["", "ms (p90)", "/ empty", "over it, ms"]);
    let over = |sample: &Sample| Some(sample.median()? - floor?);
    for ((name, _), sample) in calls.iter().zip(&samples) {
        let timed = format!("{} ({})", number(sample.median()), number(sample.p90()));
        table.row(vec![name.clone(), timed, times(sample.median(), floor), number(over(sample))]);
    }
    table.note(format!("Medians of {rounds}, in turns, from the start to the end as a caller sees it."));
    let mut findings = Findings { tables: vec![table], ..Findings::default() };
    findings.goal(
        "`zubi --version` at most 0.5 ms over an empty static program",
        format!("{} ms", number(over(&samples[1]))),
        Verdict::at_most(over(&samples[1]), Some(0.5)),
    );
    Ok(findings)
}
