//! Containers on a network card: a macvlan or an ipvlan, by each program that makes them.

use crate::contender::{DIRS, Spawned};
use crate::effort::Effort;
use crate::error::Error;
use crate::launch::{Call, Launcher, reap_all};
use crate::place::Sandbox;
use crate::programs::{Programs, find};
use crate::report::{Findings, Table};
use crate::sample::{Sample, number, times};
use crate::worker::Worker;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zubi_kernel::Session;
use zubi_lab::lan::make_lan;
use zubi_lab::{Capability, Host as LabHost, lacking};

const ADDRESS: &str = "192.168.1.130/24";
const GATEWAY: &str = "192.168.1.1";
const INPUT: &str = "/run/bench-on-card";
const NETAVARK: &str = "/run/netavark";

/// What the container gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    Macvlan,
    Ipvlan,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Macvlan => "macvlan",
            Kind::Ipvlan => "ipvlan",
        }
    }

    fn mode(self) -> &'static str {
        match self {
            Kind::Macvlan => "bridge",
            Kind::Ipvlan => "l2",
        }
    }
}

/// Who makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Maker {
    Raw,
    Zubi,
    /// The folder of the plug-ins.
    Cni(PathBuf),
    /// The program and its version.
    Netavark(PathBuf, String),
}

impl Maker {
    fn all(programs: &Programs, kind: Kind) -> Vec<Maker> {
        let mut all = vec![Maker::Raw, Maker::Zubi];
        let folder = programs.cni.clone().filter(|folder| folder.join(kind.word()).is_file());
        all.extend(folder.map(Maker::Cni));
        all.extend(programs.netavarks.iter().cloned().map(|(program, version)| Maker::Netavark(program, version)));
        all
    }

    fn name(&self, kind: Kind) -> String {
        let word = kind.word();
        match self {
            Maker::Raw => format!("raw kernel: `ip link add .. type {word}`, then one batch inside"),
            Maker::Zubi => format!("`zubi connect` to a {word} network, `--no-probe`"),
            Maker::Cni(_) => format!("the CNI plug-in `{word}`, with host-local"),
            Maker::Netavark(_, version) => format!("netavark {version}, driver `{word}`"),
        }
    }
}

struct Host {
    zubi: Spawned,
    shell: PathBuf,
    sandbox: Sandbox,
}

impl Host {
    fn new(programs: &Programs) -> Result<Self, Error> {
        let mut kernel = Session::open()?;
        make_lan(&LabHost::new(&programs.zubi.to_string_lossy()));
        std::fs::create_dir_all(NETAVARK).map_err(Error::system(NETAVARK))?;
        let zubi = Spawned::on(&programs.zubi, "network create blue --subnet 10.55.66.0/24")?;
        let shell = find("sh").unwrap_or_else(|| "/bin/sh".into());
        Ok(Host { zubi, shell, sandbox: Sandbox::make(&mut kernel, 1)? })
    }

    /// Attaches, timed, and detaches.
    fn time(&self, (maker, kind): &(Maker, Kind)) -> Result<Duration, Error> {
        let (word, mode, name) = (kind.word(), kind.mode(), &self.sandbox.name);
        let run = |call: &Call| Launcher::Timed.run(call);
        match maker {
            Maker::Raw => {
                let took = run(&self.shell(&format!(
                    "ip link add zb0 link eth0 netns {name} type {word} mode {mode} && printf \
                     'addr add {ADDRESS} dev zb0\\nlink set zb0 up\\nroute add default via {GATEWAY}\\n' | \
                     ip -n {name} -batch -"
                )))?;
                run(&self.shell(&format!("ip -n {name} link del zb0")))?;
                Ok(took)
            }
            Maker::Zubi => {
                let range = "--ip-range 192.168.1.128/26";
                run(&self.zubi.call(&format!("network create lan --driver {word} --parent eth0 {range}")))?;
                let took = run(&self.zubi.call(&format!("connect lan {name} --no-probe")))?;
                run(&self.zubi.call(&format!("disconnect lan {name}")))?;
                run(&self.zubi.call("network rm lan"))?;
                reap_all()?;
                Ok(took)
            }
            Maker::Cni(folder) => {
                let path = folder.to_string_lossy();
                let netns = self.sandbox.path().to_string_lossy().into_owned();
                let call = |verb: &str| Call {
                    input: Some(INPUT.into()),
                    output: Some("/run/bench-on-card-output".into()),
                    ..Call::new(&folder.join(word), "").env(&DIRS).env(&[
                        ("CNI_COMMAND", verb),
                        ("CNI_CONTAINERID", name.as_str()),
                        ("CNI_NETNS", &netns),
                        ("CNI_IFNAME", "eth0"),
                        ("CNI_PATH", &path),
                    ])
                };
                write(&json!({
                    "cniVersion": "1.0.0", "name": "bench", "type": word, "master": "eth0", "mode": mode,
                    "ipam": {
                        "type": "host-local", "dataDir": "/run/cni-leases", "routes": [{"dst": "0.0.0.0/0"}],
                        "ranges": [[{"subnet": "192.168.1.0/24", "rangeStart": "192.168.1.128"}]],
                    },
                }))?;
                let took = run(&call("ADD"))?;
                run(&call("DEL"))?;
                Ok(took)
            }
            Maker::Netavark(program, _) => {
                write(&json!({
                    "container_id": "ab".repeat(32), "container_name": "web",
                    "networks": {"lan": {"interface_name": "eth0", "static_ips": ["192.168.1.140"]}},
                    "network_info": {"lan": {
                        "name": "lan", "id": "cd".repeat(32), "driver": word, "network_interface": "eth0",
                        "created": "2024-01-01T00:00:00Z", "options": {"mode": mode},
                        "subnets": [{"subnet": "192.168.1.0/24", "gateway": GATEWAY}], "labels": {},
                        "ipv6_enabled": false, "internal": false, "dns_enabled": false,
                        "ipam_options": {"driver": "host-local"},
                    }},
                }))?;
                let call = |verb: &str| {
                    let words = format!("--config {NETAVARK} {verb} {}", self.sandbox.path().display());
                    Call { input: Some(INPUT.into()), ..Call::new(program, &words).env(&DIRS) }
                };
                let took = run(&call("setup"))?;
                run(&call("teardown"))?;
                Ok(took)
            }
        }
    }

    fn shell(&self, words: &str) -> Call {
        Call { words: ["-c", words].map(Into::into).to_vec(), ..Call::new(&self.shell, "") }
    }
}

fn write(request: &Value) -> Result<(), Error> {
    std::fs::write(Path::new(INPUT), request.to_string()).map_err(Error::system(INPUT))
}

/// Measures it.
pub(crate) fn measure(programs: &Programs, effort: Effort) -> Result<Findings, Error> {
    let rounds = if effort == Effort::Quick { 5 } else { 21 };
    let mut table = Table::new("Containers on a network card", &["", "ms (p90)", "/ raw kernel"]);
    for kind in [Kind::Macvlan, Kind::Ipvlan] {
        if let (Kind::Ipvlan, Some(lack)) = (kind, lacking(&[Capability::Ipvlan]).first()) {
            table.note(format!("No rows for ipvlan: this kernel lacks {lack}."));
            continue;
        }
        let mut worker: Worker<(Maker, Kind), Duration> = Worker::start(|| {
            let host = Host::new(programs)?;
            Ok(move |task| host.time(&task))
        })?;
        let makers = Maker::all(programs, kind).into_iter();
        let mut samples: Vec<(Maker, Sample)> = makers.map(|maker| (maker, Sample::new())).collect();
        for _ in 0..rounds {
            for (maker, sample) in &mut samples {
                sample.extend(Some(worker.ask(&(maker.clone(), kind))?));
            }
        }
        let floor = samples.first().and_then(|(_, sample)| sample.median());
        for (maker, sample) in &samples {
            let timed = format!("{} ({})", number(sample.median()), number(sample.p90()));
            table.row(vec![maker.name(kind), timed, times(sample.median(), floor)]);
        }
    }
    Ok(Findings { tables: vec![table], ..Findings::default() })
}
