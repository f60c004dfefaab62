//! zubi, as a command and as an engine in the calling process.

use super::{Contender, Publish, host_port};
use crate::error::Error;
use crate::launch::{Call, Launcher, reap_all};
use crate::place::Sandbox;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use zubi_engine::{Act, Config, Engine, LostRecords};
use zubi_model::{NetworkName, SandboxRef, Wishes};

/// zubi's folders on a worker's host; no container runtime is asked.
pub(crate) const DIRS: [(&str, &str); 4] =
    [("ZUBI_STATE_DIR", "/run/zubi-state"), ("ZUBI_RUN_DIR", "/run/zubi"), ("ZUBI_CONFIG", ""), ("DOCKER_HOST", "")];
const NETWORK: &str = "blue";

/// `zubi connect`, `zubi disconnect`.
pub(crate) struct Spawned {
    program: PathBuf,
    publish: Publish,
}

impl Spawned {
    /// Creates the network.
    pub(crate) fn new(program: &Path, publish: Publish) -> Result<Self, Error> {
        Ok(Spawned { publish, ..Spawned::on(program, "network create blue --subnet 10.55.0.0/20")? })
    }

    /// Creates the network with these options.
    pub(crate) fn on(program: &Path, network: &str) -> Result<Self, Error> {
        let spawned = Spawned { program: program.into(), publish: Publish::Nothing };
        Launcher::Timed.run(&spawned.call(network))?;
        Ok(spawned)
    }

    /// `zubi WORDS`.
    pub(crate) fn call(&self, words: &str) -> Call {
        Call::new(&self.program, words).env(&DIRS)
    }

    /// `zubi connect`.
    pub(crate) fn connect(&self, sandbox: &Sandbox) -> Call {
        let port = match self.publish {
            Publish::Nothing => String::new(),
            Publish::OnePort => format!(" -p {}:80", host_port(sandbox)),
        };
        Call { tag: sandbox.number, ..self.call(&format!("connect {NETWORK} {}{port}", sandbox.name)) }
    }

    /// `zubi disconnect`.
    pub(crate) fn disconnect(&self, sandbox: &Sandbox) -> Call {
        Call { tag: sandbox.number, ..self.call(&format!("disconnect {NETWORK} {}", sandbox.name)) }
    }

    /// Publishes a port of a connected sandbox, or removes it.
    pub(crate) fn port(&self, verb: &str, sandbox: &Sandbox, ports: &str) -> Call {
        self.call(&format!("port {verb} {NETWORK} {} {ports}", sandbox.name))
    }

    /// Whether this zubi can publish ports.
    pub(crate) fn publishes(program: &Path) -> bool {
        let call = Call::new(program, "connect --help").env(&DIRS);
        let call = Call { output: Some("/run/bench-help".into()), ..call };
        let help = Launcher::Timed.run(&call).ok().and_then(|_| std::fs::read_to_string("/run/bench-help").ok());
        help.is_some_and(|help| help.contains("-p"))
    }
}

impl Contender for Spawned {
    fn attach(&mut self, sandbox: &Sandbox, launcher: &mut Launcher) -> Result<Duration, Error> {
        launcher.run(&self.connect(sandbox))
    }

    fn detach(&mut self, sandbox: &Sandbox, launcher: &mut Launcher) -> Result<Duration, Error> {
        launcher.run(&self.disconnect(sandbox))
    }

    fn companion(&self) -> Option<Box<dyn Contender + Send>> {
        Some(Box::new(Spawned { program: self.program.clone(), publish: self.publish }))
    }

    fn settle(&mut self) -> Result<(), Error> {
        reap_all()
    }
}

/// The engine, opened once; each call has a session of its own.
pub(crate) struct InProcess {
    engine: Engine,
    network: NetworkName,
}

impl InProcess {
    /// Creates the network with the command and opens the engine.
    pub(crate) fn new(program: &Path) -> Result<Self, Error> {
        Spawned::new(program, Publish::Nothing)?;
        let lookup = |key: &str| DIRS.iter().find(|(k, _)| *k == key).map(|(_, value)| (*value).to_owned());
        let engine = Engine::open(Config::read(&lookup, None, None)?, LostRecords::Refuse)?;
        let network = NETWORK.parse().map_err(|e: zubi_model::Invalid| Error::Usage(e.to_string()))?;
        Ok(InProcess { engine, network })
    }
}

impl Contender for InProcess {
    fn attach(&mut self, sandbox: &Sandbox, _: &mut Launcher) -> Result<Duration, Error> {
        let who = SandboxRef::Name(sandbox.name.clone());
        let start = Instant::now();
        let mut session = self.engine.session()?;
        session.attach(&self.network, &who, &Wishes::default(), Act::Apply)?;
        Ok(start.elapsed())
    }

    fn detach(&mut self, sandbox: &Sandbox, _: &mut Launcher) -> Result<Duration, Error> {
        let who = SandboxRef::Name(sandbox.name.clone());
        let start = Instant::now();
        let mut session = self.engine.session()?;
        session.detach(&self.network, &who, Act::Apply)?;
        Ok(start.elapsed())
    }

    fn settles_itself(&self) -> bool {
        false
    }

    fn settle(&mut self) -> Result<(), Error> {
        Ok(self.engine.session()?.finish_deletions()?)
    }
}
