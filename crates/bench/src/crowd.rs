//! Fifty attachments at once.

use crate::contender::{Contender, Kind, Publish, Removal, Spawned};
use crate::effort::Effort;
use crate::error::Error;
use crate::launch::Launcher;
use crate::place::Sandbox;
use crate::programs::Programs;
use crate::report::{Findings, Table, Verdict};
use crate::sample::{Sample, number, times};
use crate::traffic::v4_of;
use crate::worker::Worker;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use zubi_kernel::Session;

const MANY: u16 = 50;

#[derive(Serialize, Deserialize)]
struct Round {
    attach: Duration,
    detach: Duration,
    /// The number of distinct addresses.
    addresses: usize,
}

/// Contenders that work at the same time, one for each sandbox; or a single one that attaches all in turn, when it is
/// not a program.
struct Crowd {
    first: Box<dyn Contender>,
    companions: Vec<Box<dyn Contender + Send>>,
    sandboxes: Vec<Sandbox>,
    kernel: Session,
    bare: usize,
}

impl Crowd {
    fn new(kind: &Kind, programs: &Programs) -> Result<Self, Error> {
        let mut first = kind.make(programs)?;
        let mut kernel = Session::open()?;
        // The first attachment to a network makes what its endpoints share.
        let warm = Sandbox::make(&mut kernel, 0)?;
        first.attach(&warm, &mut Launcher::Timed)?;
        let sandboxes: Vec<_> =
            (1..=MANY).map(|number| Sandbox::make(&mut kernel, number)).collect::<Result<_, _>>()?;
        let bare = sandboxes[0].devices(&mut kernel)?;
        let companions = sandboxes.iter().filter_map(|_| first.companion()).collect();
        Ok(Crowd { first, companions, sandboxes, kernel, bare })
    }

    fn all(&mut self, work: fn(&mut dyn Contender, &Sandbox) -> Result<Duration, Error>) -> Result<Duration, Error> {
        let start = Instant::now();
        if self.companions.is_empty() {
            for sandbox in &self.sandboxes {
                work(self.first.as_mut(), sandbox)?;
            }
            return Ok(start.elapsed());
        }
        std::thread::scope(|scope| {
            let pairs = self.companions.iter_mut().zip(&self.sandboxes);
            let running: Vec<_> =
                pairs.map(|(one, sandbox)| scope.spawn(move || work(one.as_mut(), sandbox))).collect();
            let dead = |_| Error::Worker("one of the crowd panicked".into());
            running.into_iter().try_for_each(|one| one.join().map_err(dead)?.map(drop))
        })?;
        Ok(start.elapsed())
    }

    fn round(&mut self) -> Result<Round, Error> {
        let attach = self.all(|one, sandbox| one.attach(sandbox, &mut Launcher::Timed))?;
        let mut addresses = HashSet::new();
        for sandbox in &self.sandboxes {
            addresses.insert(v4_of(&mut self.kernel, sandbox)?);
        }
        let detach = self.all(|one, sandbox| one.detach(sandbox, &mut Launcher::Timed))?;
        self.first.settle()?;
        for sandbox in &self.sandboxes {
            sandbox.wait_for_devices(&mut self.kernel, self.bare)?;
        }
        Ok(Round { attach, detach, addresses: addresses.len() })
    }
}

/// Measures it.
pub(crate) fn measure(programs: &Programs, effort: Effort) -> Result<Findings, Error> {
    let (own_rounds, peer_rounds) = if effort == Effort::Quick { (5, 1) } else { (15, 3) };
    let publish = if Spawned::publishes(&programs.zubi) { Publish::OnePort } else { Publish::Nothing };
    let (floor, zubi) = (Kind::Floor(Removal::Unplugged), Kind::Spawned(publish));
    let mut kinds = vec![floor, zubi];
    kinds.extend(programs.cni.clone().map(Kind::Cni));
    kinds.extend(programs.netavarks.iter().cloned().map(|(program, version)| Kind::Netavark(program, version)));
    let mut crowds = Vec::new();
    for kind in kinds {
        let worker: Worker<(), Round> = Worker::start(|| {
            let mut crowd = Crowd::new(&kind, programs)?;
            Ok(move |()| crowd.round())
        })?;
        crowds.push((kind, worker, Sample::new(), Sample::new(), usize::MAX));
    }
    for at in 0..own_rounds {
        for (kind, worker, attach, detach, fewest) in &mut crowds {
            if at < peer_rounds || kind.is_own() {
                let round = worker.ask(&())?;
                attach.push_time(round.attach);
                detach.push_time(round.detach);
                *fewest = round.addresses.min(*fewest);
            }
        }
    }
    let title = format!("{MANY} at once");
    let head = ["", "ADD of all, ms", "/ raw", "DEL of all, ms", "/ raw", "distinct addresses", "rounds"];
    let mut table = Table::new(&title, &head);
    let (raw_attach, raw_detach) = (crowds[0].2.median(), crowds[0].3.median());
    for (kind, _, attach, detach, fewest) in &crowds {
        table.row(vec![
            kind.name(),
            number(attach.median()),
            times(attach.median(), raw_attach),
            number(detach.median()),
            times(detach.median(), raw_detach),
            fewest.to_string(),
            attach.len().to_string(),
        ]);
    }
    table.note("From the first start to the last end. The raw kernel attaches one after the other. netavark gets its addresses from the caller.");
    let mut findings = Findings { tables: vec![table], ..Findings::default() };
    let (_, _, attach, _, addresses) = &crowds[1];
    let verdict = match Verdict::at_most(attach.median(), Some(150.0)).unless_busy(&crowds[0].2) {
        Verdict::Held if *addresses != usize::from(MANY) => Verdict::Missed,
        other => other,
    };
    findings.goal(
        format!("{MANY} connects at once in 150 ms, {MANY} distinct addresses"),
        format!("{} ms, {addresses} addresses", number(attach.median())),
        verdict,
    );
    Ok(findings)
}
