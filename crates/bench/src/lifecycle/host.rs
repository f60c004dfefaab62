//! A contender's host and its requests.

use crate::contender::{Contender, Kind};
use crate::error::Error;
use crate::launch::{Cost, Launcher};
use crate::place::Sandbox;
use crate::programs::Programs;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use zubi_kernel::Session;

/// How long populating one host for one row may take.
pub(super) const CAP: Duration = Duration::from_secs(150);

#[derive(Serialize, Deserialize)]
pub(super) enum Ask {
    /// Attach endpoints until there are this many.
    Populate(u16),
    /// Attach the probe.
    Attach,
    Detach,
    /// The cost of attach and detach, under observation.
    Cost,
}

#[derive(Serialize, Deserialize)]
pub(super) enum Answer {
    Reached(u16),
    Attached(Duration),
    Detached {
        took: Duration,
        /// The time from the return until nothing is left, no process either; `None` where the bench itself cleans up.
        gone: Option<Duration>,
    },
    Cost {
        attach: Cost,
        detach: Cost,
    },
}

/// A contender's host.
pub(super) struct Host {
    contender: Box<dyn Contender>,
    kernel: Session,
    probe: Sandbox,
    /// The number of devices of a detached sandbox.
    bare: usize,
    others: u16,
    peak: PathBuf,
    empty: PathBuf,
}

impl Host {
    pub(super) fn new(kind: &Kind, programs: &Programs) -> Result<Self, Error> {
        let contender = kind.make(programs)?;
        let mut kernel = Session::open()?;
        let probe = Sandbox::make(&mut kernel, 0)?;
        let bare = probe.devices(&mut kernel)?;
        let (peak, empty) = (programs.peak.clone(), programs.empty.clone());
        Ok(Host { contender, kernel, probe, bare, others: 0, peak, empty })
    }

    pub(super) fn answer(&mut self, ask: &Ask) -> Result<Answer, Error> {
        let launcher = &mut Launcher::Timed;
        match ask {
            Ask::Populate(upto) => {
                let start = Instant::now();
                while self.others < *upto && start.elapsed() < CAP {
                    let sandbox = Sandbox::make(&mut self.kernel, self.others + 1)?;
                    self.contender.attach(&sandbox, launcher)?;
                    self.others += 1;
                }
                Ok(Answer::Reached(self.others))
            }
            Ask::Attach => Ok(Answer::Attached(self.contender.attach(&self.probe, launcher)?)),
            Ask::Detach => {
                let took = self.contender.detach(&self.probe, launcher)?;
                let returned = Instant::now();
                if self.contender.settles_itself() {
                    self.probe.wait_for_devices(&mut self.kernel, self.bare)?;
                }
                self.contender.settle()?;
                let gone = self.contender.settles_itself().then(|| returned.elapsed());
                self.probe.wait_for_devices(&mut self.kernel, self.bare)?;
                Ok(Answer::Detached { took, gone })
            }
            Ask::Cost => {
                let traced = self.both(|| Launcher::Traced(Cost::default()))?;
                let peak = self.peak.clone();
                let weighed = self.both(|| Launcher::Weighed(peak.clone(), Cost::default()))?;
                let [attach, detach] = [0, 1].map(|at| Cost { peak_kib: weighed[at].peak_kib, ..traced[at] });
                Ok(Answer::Cost { attach, detach })
            }
        }
    }

    /// The cost of attaching and detaching the probe.
    fn both(&mut self, launcher: impl Fn() -> Launcher) -> Result<[Cost; 2], Error> {
        let mut costs = [Cost::default(); 2];
        for (detaching, cost) in [false, true].into_iter().zip(&mut costs) {
            let mut launcher = launcher();
            let before = next_pid(&self.empty)?;
            if detaching {
                self.contender.detach(&self.probe, &mut launcher)?;
            } else {
                self.contender.attach(&self.probe, &mut launcher)?;
            }
            *cost = launcher.cost();
            if cost.programs == 0 && cost.peak_kib == 0 {
                cost.started = (next_pid(&self.empty)? - before - 1) as usize;
            }
        }
        self.contender.settle()?;
        self.probe.wait_for_devices(&mut self.kernel, self.bare)?;
        Ok(costs)
    }
}

/// The process id of a new process. Our process namespace gives ids in sequence, so the difference of two is the number
/// of processes started in between.
fn next_pid(empty: &Path) -> Result<u32, Error> {
    let mut child = Command::new(empty).spawn().map_err(Error::system("zubi-bench-empty"))?;
    let pid = child.id();
    child.wait().map_err(Error::system("zubi-bench-empty"))?;
    Ok(pid)
}
