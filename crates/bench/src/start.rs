//! What starting zubi costs compared with an empty program: under its own name and under those of others.

use crate::contender::DIRS;
use crate::effort::Effort;
use crate::error::Error;
use crate::launch::{Call, Launcher};
use crate::programs::Programs;
use crate::report::{Findings, Table, Verdict};
use crate::sample::{Sample, number, times};
use std::path::Path;
use zubi_lab::{HELPERS, PLUGINS, links};

const FOLDER: &str = "/run/bench-names";
const REQUEST: &str = "/run/bench-version";

/// Measures it.
pub(crate) fn measure(programs: &Programs, effort: Effort) -> Result<Findings, Error> {
    let rounds = if effort == Effort::Quick { 100 } else { 1000 };
    std::fs::write(REQUEST, r#"{"cniVersion":"1.0.0"}"#).map_err(Error::system(REQUEST))?;
    let names = links(&programs.zubi.to_string_lossy(), FOLDER, &[&PLUGINS[..], &HELPERS].concat());
    let mut calls = vec![
        ("an empty static program".to_owned(), Call::new(&programs.empty, "")),
        ("`zubi --version`".to_owned(), Call::new(&programs.zubi, "--version").env(&DIRS)),
        ("zubi as the CNI plugin `bridge`, VERSION".to_owned(), cni_version(&names.join("bridge"))),
        ("zubi as `netavark --version`".to_owned(), Call::new(&names.join("netavark"), "--version").env(&DIRS)),
    ];
    if let Some(folder) = &programs.cni {
        calls.push(("the CNI plugin `bridge`, VERSION".to_owned(), cni_version(&folder.join("bridge"))));
    }
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
    for ((name, _), sample) in calls.iter().zip(&samples).skip(1).take(3) {
        findings.goal(
            format!("{name} at most 0.5 ms over an empty static program"),
            format!("{} ms", number(over(sample))),
            Verdict::at_most(over(sample), Some(0.5)),
        );
    }
    Ok(findings)
}

/// The VERSION request: every CNI plugin answers it, and runtimes use it to see whether the plugin is there.
fn cni_version(plugin: &Path) -> Call {
    let call = Call::new(plugin, "").env(&DIRS).env(&[("CNI_COMMAND", "VERSION")]);
    Call { input: Some(REQUEST.into()), ..call }
}
