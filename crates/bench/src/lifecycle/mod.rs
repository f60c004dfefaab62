//! Attach and detach, compared: time and other costs.

mod goals;
mod host;
mod rows;

use crate::contender::{Door, Kind, Publish, Removal, Spawned};
use crate::effort::Effort;
use crate::error::Error;
use crate::programs::Programs;
use crate::report::{Findings, Table};
use crate::sample::{Sample, number, times};
use crate::worker::Worker;
use goals::judge;
use host::{Answer, Ask, CAP, Host};
use rows::{Row, Rows, faster, find};

/// How many hosts are populated at once.
const CORES: usize = 2;

/// A contender and its measurements at one size.
struct Runner {
    kind: Kind,
    worker: Worker<Ask, Answer>,
    row: Row,
}

/// The contenders that this machine has.
fn kinds(programs: &Programs) -> Vec<Kind> {
    let mut all = vec![
        Kind::Floor(Removal::Unplugged),
        Kind::Floor(Removal::Deleted),
        Kind::InProcess,
        Kind::Spawned(Publish::Nothing),
    ];
    if Spawned::publishes(&programs.zubi) {
        all.push(Kind::Spawned(Publish::OnePort));
    }
    all.extend([Door::Plugin, Door::Chain, Door::Netavark].map(Kind::Door));
    all.extend(programs.cni.clone().map(Kind::Cni));
    all.extend(programs.netavarks.iter().cloned().map(|(program, version)| Kind::Netavark(program, version)));
    all
}

/// Measures all of it.
pub(crate) fn measure(programs: &Programs, effort: Effort) -> Result<Findings, Error> {
    let sizes: &[u16] = if effort == Effort::Quick { &[1, 100] } else { &[1, 100, 900] };
    let mut runners = Vec::new();
    for kind in kinds(programs) {
        let worker = Worker::start(|| {
            let mut host = Host::new(&kind, programs)?;
            Ok(move |ask: Ask| host.answer(&ask))
        })?;
        runners.push(Runner { kind, worker, row: Row::default() });
    }
    let mut rows = Vec::new();
    for size in sizes {
        populate(&mut runners, *size)?;
        let rounds = match (effort, size) {
            (Effort::Quick, _) => 10,
            (Effort::Full, 900) => 21,
            (Effort::Full, _) => 41,
        };
        for _ in 0..rounds {
            runners.iter_mut().try_for_each(Runner::round)?;
        }
        runners.iter_mut().try_for_each(Runner::weigh)?;
        rows.extend(runners.iter().map(|runner| (*size, runner.kind.clone(), runner.row.clone())));
    }
    let mut findings = Findings::default();
    findings.tables.push(table(&rows));
    judge(&rows, &mut findings);
    Ok(findings)
}

/// Populates ours one after the other and the slow ones a few at once: nothing is timed here.
fn populate(runners: &mut [Runner], size: u16) -> Result<(), Error> {
    let (own, others): (Vec<&mut Runner>, Vec<&mut Runner>) = runners.iter_mut().partition(|one| one.kind.is_own());
    let mut own: Vec<_> = own.into_iter().map(|one| vec![one]).collect();
    let mut rest = others.into_iter().peekable();
    while rest.peek().is_some() {
        own.push(rest.by_ref().take(CORES).collect());
    }
    for mut together in own {
        for runner in &mut together {
            runner.row = Row { name: runner.kind.name(), ..Row::default() };
            runner.worker.send(&Ask::Populate(size))?;
        }
        for runner in together {
            if let Answer::Reached(reached) = runner.worker.receive()? {
                runner.row.existing = reached;
            }
        }
    }
    Ok(())
}

impl Runner {
    fn round(&mut self) -> Result<(), Error> {
        if let Answer::Attached(took) = self.worker.ask(&Ask::Attach)? {
            self.row.attach.push_time(took);
        }
        if let Answer::Detached { took, gone } = self.worker.ask(&Ask::Detach)? {
            self.row.detach.push_time(took);
            self.row.gone.extend(gone);
        }
        Ok(())
    }

    fn weigh(&mut self) -> Result<(), Error> {
        if let Answer::Cost { attach, detach } = self.worker.ask(&Ask::Cost)? {
            self.row.cost = [attach, detach];
        }
        Ok(())
    }
}

fn table(rows: &Rows) -> Table {
    let head = [
        "",
        "existing",
        "ADD ms (p90)",
        "/ raw",
        "peer / zubi",
        "DEL ms (p90)",
        "/ raw",
        "peer / zubi",
        "gone after, ms",
        "programs run",
        "processes they start",
        "peak MB",
    ];
    let mut table = Table::new("Attaching and detaching", &head);
    for (size, kind, row) in rows {
        let floor = find(rows, *size, &Kind::Floor(Removal::Unplugged));
        let deleting = find(rows, *size, &Kind::Floor(Removal::Deleted));
        let timed = |sample: &Sample| format!("{} ({})", number(sample.median()), number(sample.p90()));
        let [attach, detach] = row.cost;
        let faster = |median: &dyn Fn(&Row) -> Option<f64>| {
            let all: Vec<_> =
                faster(rows, *size, kind, median).iter().map(|(_, n)| times(Some(*n), Some(1.0))).collect();
            if all.is_empty() { "-".into() } else { all.join(", ") }
        };
        let both = |a: usize, d: usize| format!("{a} / {d}");
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let peak = attach.peak_kib.max(detach.peak_kib) as f64 / 1024.0;
        table.row(vec![
            row.name.clone(),
            row.existing.to_string(),
            timed(&row.attach),
            times(row.attach.median(), floor.and_then(|floor| floor.attach.median())),
            faster(&|row| row.attach.median()),
            timed(&row.detach),
            times(row.detach.median(), deleting.and_then(|floor| floor.detach.median())),
            faster(&|row| row.detach.median()),
            number(row.gone.median()),
            both(attach.programs, detach.programs),
            both(attach.started, detach.started),
            number(Some(peak).filter(|peak| *peak > 0.0)),
        ]);
    }
    let rounds = rows.iter().map(|(_, _, row)| row.attach.len()).max().unwrap_or(0);
    table.note(format!(
        "Medians of up to {rounds} rounds, taken in turns, with each contender on its own host. The ratio of DEL is to \
         the raw deletion that waits. \"peer / zubi\": how many times as long the program takes whose name zubi has \
         here, for the same requests with one port; the time of a chain is the sum of its calls. Programs and \
         processes: ADD / DEL, in an untimed run, without threads. \"gone\": from the return of DEL until the devices \
         have vanished and the last process has ended."
    ));
    if rows.iter().any(|(size, _, row)| row.existing < *size) {
        table.note(format!("Populating a host stopped after {} s: the table shows the sizes reached.", CAP.as_secs()));
    }
    table
}
