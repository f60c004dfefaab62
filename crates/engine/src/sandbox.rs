//! Named sandboxes: what `ip netns` does, and visible to it.

use crate::engine::{Act, Engine, Report};
use crate::error::Error;
use crate::fault::Fault;
use std::ffi::OsString;
use std::path::Path;
use zubi_kernel::{Deletions, inside, named};
use zubi_model::{NetnsCookie, NetworkName, NsRef, SandboxName, SandboxRef};
use zubi_plan::{Place, Plan, sandbox};
use zubi_store::{Lock, Maker, Mode, SandboxRecord};

/// One line of `zubi sandbox ls`.
#[derive(Debug, Clone)]
pub struct SandboxView {
    /// The name.
    pub name: SandboxName,
    /// Who made it: "add", "attach", "run", or "other".
    pub maker: &'static str,
    /// The namespace's number; absent when the name leads nowhere.
    pub cookie: Option<NetnsCookie>,
    /// The networks it is on.
    pub networks: Vec<NetworkName>,
    /// The processes inside.
    pub processes: Vec<u32>,
}

fn exists(name: &SandboxName) -> bool {
    Path::new(named::FOLDER).join(name.as_str()).exists()
}

impl Engine {
    /// Makes a named sandbox, or gives an existing namespace a name.
    pub fn add_sandbox(
        &mut self,
        name: &SandboxName,
        from: Option<&SandboxRef>,
        act: Act,
    ) -> Result<Report<()>, Error> {
        let from = from.map(|from| self.resolve(from)).transpose()?;
        let _host = self.store.lock_host(Mode::Shared)?;
        self.recover_first(act)?;
        // Its holder may be a `zubi run` that goes on for days.
        let Some(_name) = self.store.try_lock_run(name)? else {
            return Err(if exists(name) {
                Error::SandboxExists { name: name.clone() }
            } else {
                Error::Busy { object: format!("sandbox {name}") }
            });
        };
        let (plan, known) = match &from {
            None => (sandbox::add(name), None),
            Some(from) => (sandbox::attach(name, from.reached_by.path()), Some(from.cookie)),
        };
        let maker = if from.is_some() { Maker::Attach } else { Maker::Add };
        self.make_sandbox(SandboxRecord { name: name.clone(), cookie: known, maker }, &plan, act)?;
        Ok(Report { plan, value: () })
    }

    /// The caller holds the host's lock and the name's. The record's number is known where the namespace is there before
    /// its name.
    pub(crate) fn make_sandbox(
        &mut self,
        record: SandboxRecord,
        plan: &Plan,
        act: Act,
    ) -> Result<Option<NetnsCookie>, Error> {
        let name = &record.name.clone();
        if exists(name) {
            let unfinished = self.store.sandbox(name)?.is_some_and(|r| r.cookie.is_none());
            // We hold the name's lock: its maker was killed before it stood.
            if !unfinished || act == Act::Show || self.remove_unfinished(name)? == Unfinished::InUse {
                return Err(Error::SandboxExists { name: name.clone() });
            }
        }
        if act == Act::Show {
            return Ok(None);
        }
        let object = format!("sandbox {name}");
        // What fails in the plan is undone there: the name may be a stranger's by now.
        let mut undo = Plan::new();
        let made = (|| {
            self.store.write_sandbox(&record)?;
            self.apply(&object, plan)?;
            let cookie = self.kernel.open_sandbox(&NsRef::Named(name.clone())).map_err(Error::kernel(&object))?;
            undo = sandbox::remove(name, Some(cookie));
            if record.cookie.is_some_and(|known| known != cookie) {
                // Between the looking and the naming its path came to lead to another: a process number given again.
                return Err(Error::NoSandbox { name: name.to_string(), hint: Some("it ended just now".into()) });
            }
            self.store.write_sandbox(&SandboxRecord { cookie: Some(cookie), ..record })?;
            Ok(cookie)
        })();
        made.map(Some).map_err(|e: Error| {
            e.after_undo(Fault::muted(|| {
                self.take_down(&object, &undo, Deletions::Now)?;
                Ok(self.store.remove_sandbox(name)?)
            }))
        })
    }

    /// Disconnects a named sandbox from everything and removes its name. `force` also ends the processes in it.
    pub fn remove_sandbox(&mut self, name: &SandboxName, force: Force, act: Act) -> Result<Report<()>, Error> {
        let _host = self.store.lock_host(Mode::Shared)?;
        self.recover_first(act)?;
        if !exists(name) {
            self.store.remove_sandbox(name)?;
            let hint = Some("zubi sandbox ls lists them".into());
            return Err(Error::NoSandbox { name: name.to_string(), hint });
        }
        let record = self.store.sandbox(name)?;
        let Some(lock) = self.store.try_lock_run(name)? else {
            return self.end_run(name, record, force, act);
        };
        // Whatever the name leads to now is opened once, and nothing but that is touched.
        let there = self.named_cookie(name)?;
        let recorded = record.as_ref().and_then(|r| r.cookie);
        if let (Some(recorded), Some(there)) = (recorded, there)
            && recorded != there
        {
            return self.forget_moved(name, recorded, lock, act);
        }
        let (mut plan, mut alone) = (Plan::new(), None);
        if let Some(cookie) = there
            && record.is_none_or(|r| r.maker != Maker::Attach)
        {
            (plan, alone) = self.disconnect_all(name, cookie, act)?;
        }
        let removal = sandbox::remove(name, there);
        if act == Act::Apply {
            if let Some(cookie) = there
                && force == Force::Yes
            {
                self.end_processes(name, cookie)?;
            }
            self.take_down(&format!("sandbox {name}"), &removal, Deletions::Now)?;
            self.store.remove_sandbox(name)?;
            if let Some((cookie, lock)) = alone {
                self.store.remove_sandbox_lock(cookie, lock)?;
            }
            self.store.remove_run_lock(name, lock)?;
        }
        plan.append(removal);
        Ok(Report { plan, value: () })
    }

    /// What zubi knows of a sandbox whose name is somebody else's by now is taken away; the name stays with that one.
    fn forget_moved(
        &mut self,
        name: &SandboxName,
        recorded: NetnsCookie,
        lock: Lock,
        act: Act,
    ) -> Result<Report<()>, Error> {
        let next = "zubi sandbox rm, once more, removes the name all the same";
        if act == Act::Apply {
            let (_, alone) = self.disconnect_all(name, recorded, act)?;
            self.store.remove_sandbox(name)?;
            if let Some((cookie, lock)) = alone {
                self.store.remove_sandbox_lock(cookie, lock)?;
            }
            self.store.remove_run_lock(name, lock)?;
        }
        Err(Error::NameMoved { name: name.clone(), next })
    }

    /// The namespace that a name leads to now.
    pub(crate) fn named_cookie(&mut self, name: &SandboxName) -> Result<Option<NetnsCookie>, Error> {
        self.kernel.cookie_behind(&NsRef::Named(name.clone())).map_err(Error::kernel(format!("sandbox {name}")))
    }

    /// Opens a name, if it leads to this namespace: what was opened under it before may be another.
    fn open_named(&mut self, name: &SandboxName, cookie: NetnsCookie) -> bool {
        let reached_by = NsRef::Named(name.clone());
        if self.kernel.open_sandbox(&reached_by).is_ok_and(|there| there == cookie) {
            return true;
        }
        self.kernel.close_sandbox(&reached_by);
        false
    }

    /// Removes the name of a sandbox whose maker was killed before its number was recorded. Nobody can have used that one:
    /// a namespace with processes or devices is somebody else's, who has taken the name since. The caller holds the name's
    /// lock.
    pub(crate) fn remove_unfinished(&mut self, name: &SandboxName) -> Result<Unfinished, Error> {
        let object = format!("sandbox {name}");
        let cookie = self.named_cookie(name)?;
        if let Some(cookie) = cookie
            && self.open_named(name, cookie)
        {
            let reached_by = NsRef::Named(name.clone());
            let netns = self.kernel.sandbox(&reached_by);
            let processes = netns.map(inside::processes).transpose().map_err(Error::kernel(&object))?;
            let links = self.kernel.links(&Place::Sandbox(reached_by), None).map_err(Error::kernel(&object))?;
            if processes.is_some_and(|all| !all.is_empty()) || links.len() > 1 {
                return Ok(Unfinished::InUse);
            }
        }
        self.take_down(&object, &sandbox::remove(name, cookie), Deletions::Now)?;
        Ok(Unfinished::Removed)
    }

    /// A sandbox whose supervisor lives: with force its processes are ended, and the supervisor does the rest.
    fn end_run(
        &mut self,
        name: &SandboxName,
        record: Option<SandboxRecord>,
        force: Force,
        act: Act,
    ) -> Result<Report<()>, Error> {
        let Some(record) = record.filter(|r| r.maker == Maker::Run) else {
            return Err(Error::Busy { object: format!("sandbox {name}") });
        };
        if force == Force::No {
            return Err(Error::SandboxInUse {
                name: name.clone(),
                by: "belongs to a running zubi run".into(),
                next: "end its command, or use --force".into(),
            });
        }
        let plan = sandbox::remove(name, record.cookie);
        if act == Act::Apply {
            let there = self.named_cookie(name)?;
            match record.cookie {
                Some(cookie) if there == Some(cookie) => self.end_processes(name, cookie)?,
                Some(_) if there.is_some() => {
                    let next = "end the command of its zubi run by itself";
                    return Err(Error::NameMoved { name: name.clone(), next });
                }
                // Its supervisor is only making it.
                _ => return Err(Error::Busy { object: format!("sandbox {name}") }),
            }
        }
        Ok(Report { plan, value: () })
    }

    /// Takes a sandbox off all its networks and links, be its name still a way to it or not. Gives the sandbox's lock too:
    /// while it is held nobody connects it again.
    pub(crate) fn disconnect_all(
        &mut self,
        name: &SandboxName,
        cookie: NetnsCookie,
        act: Act,
    ) -> Result<(Plan, Option<(NetnsCookie, Lock)>), Error> {
        let reached_by = NsRef::Named(name.clone());
        let via = self.open_named(name, cookie).then_some(&reached_by);
        let mut plan = Plan::new();
        let mut locks = self.lock_with_linked(cookie)?;
        for endpoint in self.store.endpoints_of(cookie)? {
            plan.append(self.detach_locked(&endpoint.key(), via, act)?.plan);
        }
        for link in self.links_of(cookie) {
            plan.append(self.unlink_locked(&link, act)?);
        }
        let lock = locks.remove(&cookie);
        self.release_sandboxes(locks)?;
        Ok((plan, lock.map(|lock| (cookie, lock))))
    }

    /// Ends every process in a sandbox, also those that are started meanwhile. Nothing is ended when its name leads to
    /// another namespace.
    pub(crate) fn end_processes(&mut self, name: &SandboxName, cookie: NetnsCookie) -> Result<(), Error> {
        const ROUNDS: u32 = 200;
        let reached_by = NsRef::Named(name.clone());
        if !self.open_named(name, cookie) {
            return Ok(());
        }
        let me = std::process::id();
        for _ in 0..ROUNDS {
            let Some(netns) = self.kernel.sandbox(&reached_by) else { return Ok(()) };
            let mut all = inside::processes(netns).map_err(Error::kernel(format!("sandbox {name}")))?;
            all.retain(|pid| *pid != me && !is_zombie(*pid));
            if all.is_empty() {
                return Ok(());
            }
            for pid in all {
                inside::end_process(netns, pid).map_err(Error::kernel(format!("sandbox {name}")))?;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Err(Error::Busy { object: format!("sandbox {name} (its processes do not end)") })
    }

    /// All named sandboxes.
    pub fn sandboxes(&mut self) -> Result<Vec<SandboxView>, Error> {
        let records = self.store.sandboxes_lossy().0;
        let mut views = Vec::new();
        for name in named::list().map_err(Error::kernel("named namespaces"))? {
            let reached_by = NsRef::Named(name.clone());
            let cookie = self.kernel.open_sandbox(&reached_by).ok();
            let networks = match cookie {
                Some(cookie) => self.store.endpoints_of(cookie)?.into_iter().map(|e| e.network).collect(),
                None => Vec::new(),
            };
            let processes = match self.kernel.sandbox(&reached_by) {
                Some(netns) => inside::processes(netns).map_err(Error::kernel("processes"))?,
                None => Vec::new(),
            };
            let ours = records.iter().find(|r| r.name == name && (r.cookie.is_none() || r.cookie == cookie));
            let maker = match ours.map(|r| r.maker) {
                Some(Maker::Add) => "add",
                Some(Maker::Attach) => "attach",
                Some(Maker::Run) => "run",
                None => "other",
            };
            views.push(SandboxView { name, maker, cookie, networks, processes });
        }
        Ok(views)
    }

    /// Becomes a command inside a sandbox. Returns only on failure.
    pub fn exec(&mut self, sandbox: &SandboxRef, command: &[OsString]) -> Result<std::convert::Infallible, Error> {
        let resolved = self.resolve(sandbox)?;
        let name = match &resolved.reached_by {
            NsRef::Named(name) => Some(name.as_str()),
            NsRef::Path(_) => None,
        };
        let object = || Error::kernel(format!("sandbox {}", resolved.spelled));
        if let Some(netns) = self.kernel.sandbox(&resolved.reached_by) {
            inside::move_in(netns, name).map_err(object())?;
        }
        Err(crate::run::become_command(command))
    }
}

impl Engine {
    /// Becomes a command in the host's own network. Returns why it could not.
    pub fn become_command(&self, command: &[OsString]) -> Error {
        crate::run::become_command(command)
    }
}

/// What became of a name without a finished sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfinished {
    /// It is free.
    Removed,
    /// Somebody uses it.
    InUse,
}

/// Whether running processes are ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// They are.
    Yes,
    /// They are not.
    No,
}

/// A process that has ended and waits for its parent only.
fn is_zombie(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z') || rest.starts_with('X'))
}
