//! The engine: kernel, store and runtimes together.

use crate::config::{Coexistence, Config, Forwarding};
use crate::error::Error;
use crate::fault::Fault;
use crate::rebuild::refuse_if_anything_lives;
use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use zubi_ipam::AddressPools;
use zubi_kernel::{Deletions, Finding, Kernel, Observer};
use zubi_model::{Family, NetworkId, NetworkName};
use zubi_plan::network::Ipv6Forwarding;
use zubi_plan::{Op, Place, Plan};
use zubi_runtimes::Runtimes;
use zubi_store::{FirewallSeen, HostId, Lock, Opening, PortsLock, Store};
use zubi_wire::route::AdminState;

/// Whether to do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Do it.
    Apply,
    /// Only say what would be done.
    Show,
}

/// What a changing call did, or would do.
#[derive(Debug, Clone)]
pub struct Report<T> {
    /// The operations.
    pub plan: Plan,
    /// The answer.
    pub value: T,
}

/// An operation and what the kernel has of it: the lines of a dry run.
pub type Compared = (Op, Finding);

/// The engine.
pub struct Engine {
    pub(crate) kernel: Kernel,
    pub(crate) store: Store,
    pub(crate) runtimes: Runtimes,
    pools: Option<AddressPools>,
    pub(crate) coexistence: Coexistence,
    pub(crate) forwarding: Forwarding,
    /// The networks that are known to be in order while the ruleset has the generation the kernel edge expects.
    pub(crate) in_order: Option<Vec<NetworkId>>,
    pub(crate) remembered: Option<FirewallSeen>,
    notes: Vec<String>,
    /// The addresses that were chosen last: family, set of pools, address.
    pub(crate) cursors: Vec<(Family, usize, IpAddr)>,
    /// Whether this command has made an endpoint: then it is not the time to look for networks without any.
    pub(crate) has_attached: bool,
    /// The lock of the published ports, while somebody on this call's way holds it.
    held_ports: Weak<PortsLock>,
    /// The locks of the leases, while somebody on this call's way holds them.
    held_leases: HashMap<NetworkName, Weak<Lock>>,
    /// Described networks whose last endpoint went.
    pub(crate) fading: Vec<NetworkName>,
    /// Connections that the detached child forgets.
    pub(crate) forgotten: Option<(NetworkName, Plan)>,
    pub(crate) dirs_for_children: (std::path::PathBuf, std::path::PathBuf),
}

/// What is done where the records of devices that live are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LostRecords {
    /// Nothing: it is said.
    Refuse,
    /// They are made again.
    Rebuild,
    /// The caller knows.
    Ignore,
}

/// One folder has one name, whatever way leads to it.
fn canonical(folder: &std::path::Path) -> std::path::PathBuf {
    fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned())
}

/// What changing anything takes: linux/capability.h.
const NEEDED: [(u32, &str); 2] = [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN")];

impl Engine {
    /// Opens everything. The calling thread's network namespace is the host from now on. Fails when the records of
    /// devices that live are lost, or when another zubi is at work on this host.
    pub fn open(config: Config) -> Result<Self, Error> {
        Self::open_with(config, Fault::from_env(), LostRecords::Refuse)
    }

    /// The same where records may be lost: for who makes them again, or removes the devices.
    pub fn open_without_records(config: Config) -> Result<Self, Error> {
        Self::open_with(config, Fault::from_env(), LostRecords::Ignore)
    }

    /// The same for a program that cannot ask anybody: lost records are made again first.
    pub fn open_for_program(config: Config) -> Result<Self, Error> {
        Self::open_with(config, Fault::from_env(), LostRecords::Rebuild)
    }

    pub(crate) fn open_with(config: Config, fault: Option<Fault>, lost: LostRecords) -> Result<Self, Error> {
        let have = zubi_kernel::sys::effective_capabilities()
            .map_err(|e| Error::kernel("capabilities")(zubi_kernel::Error::system("read", "capabilities", e)))?;
        let missing: Vec<_> = NEEDED.iter().filter(|(bit, _)| have & (1 << bit) == 0).map(|(_, name)| *name).collect();
        if !missing.is_empty() {
            return Err(Error::Privilege { missing });
        }
        let mut kernel = Kernel::open().map_err(Error::kernel("opening the kernel's sockets"))?;
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map_err(|e| Error::kernel("boot id")(zubi_kernel::Error::system("read", "boot id", e)))?;
        let host = HostId {
            boot_id: boot_id.trim().to_owned(),
            netns_cookie: kernel.host_cookie().map_err(Error::kernel("the host's namespace"))?.0,
        };
        let dirs_for_children = (config.dirs.state.clone(), config.dirs.run.clone());
        let mut opening = Opening::new(config.dirs.clone(), host).of_others(config.other_namespace);
        if let Some(fault) = fault {
            let steps = fault.clone();
            kernel.on_step(Box::new(move |name| steps.step(name)));
            opening = opening.with_steps(move |name| fault.step(name));
        }
        let mut are_lost = false;
        let run = canonical(&config.dirs.run);
        let store = opening.open_guarded(|| match refuse_if_anything_lives(&mut kernel, &run) {
            Err(Error::RecordsLost { .. }) if lost != LostRecords::Refuse => {
                are_lost = true;
                Ok(())
            }
            other => other,
        })?;
        let mut engine = Engine {
            kernel,
            store,
            runtimes: Runtimes::from_env(|k| std::env::var_os(k)),
            pools: config.pools,
            coexistence: config.coexistence,
            forwarding: config.forwarding,
            in_order: None,
            remembered: None,
            notes: Vec::new(),
            cursors: Vec::new(),
            has_attached: false,
            held_ports: Weak::new(),
            held_leases: HashMap::new(),
            fading: Vec::new(),
            forgotten: None,
            dirs_for_children,
        };
        if are_lost && lost == LostRecords::Rebuild {
            engine.rebuild(Act::Apply)?;
        }
        Ok(engine)
    }

    /// The folder of the records of this boot.
    pub(crate) fn run_folder(&self) -> std::path::PathBuf {
        canonical(&self.dirs_for_children.1)
    }

    /// Called with every operation that changed something: together they are the commands to type.
    pub fn observe(&mut self, observer: Observer) {
        self.kernel.on_operation(observer);
    }

    /// The lock of the published ports. Whoever buries somebody dead on the way may need it while it is held already, and
    /// would wait for itself.
    pub(crate) fn hold_ports(&mut self) -> Result<Arc<PortsLock>, Error> {
        if let Some(held) = self.held_ports.upgrade() {
            return Ok(held);
        }
        let held = Arc::new(self.store.lock_ports()?);
        self.held_ports = Arc::downgrade(&held);
        Ok(held)
    }

    /// The lock of a network's leases. A call that buries somebody dead on its way may hold it already, and would wait for
    /// itself.
    pub(crate) fn hold_leases(&mut self, network: &NetworkName) -> Result<Arc<Lock>, Error> {
        if let Some(held) = self.held_leases.get(network).and_then(Weak::upgrade) {
            return Ok(held);
        }
        let held = Arc::new(self.store.lock_leases(network)?);
        self.held_leases.insert(network.clone(), Arc::downgrade(&held));
        Ok(held)
    }

    /// Tells the caller something that is no error.
    pub(crate) fn note(&mut self, words: String) {
        if !self.notes.contains(&words) {
            self.notes.push(words);
        }
    }

    /// What is to be told beside the answers of the calls so far.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// The kernel edge, for those who count its messages.
    pub fn kernel(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    /// The pools automatic subnets come from. The IPv6 one follows from the boot-independent part of the machine
    /// (RFC 4193, 3.2.2 wants it random, but a network made again should get its addresses again).
    pub(crate) fn pools(&self) -> AddressPools {
        if let Some(pools) = &self.pools {
            return pools.clone();
        }
        let seed = fs::read_to_string("/etc/machine-id").unwrap_or_default();
        let hash = seed.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        let mut global_id = [0; 5];
        global_id.copy_from_slice(&hash.to_be_bytes()[..5]);
        AddressPools::standard(global_id)
    }

    /// What of a plan is to be typed on this host: a firewall layout that stands must not be made twice.
    pub fn to_type(&mut self, plan: &Plan) -> Result<Plan, Error> {
        let afresh = plan.ops.iter().any(|op| matches!(op.what, zubi_plan::What::DeleteTable(_)));
        if afresh || !plan.ops.iter().any(Op::is_layout) {
            return Ok(plan.clone());
        }
        let stands = self.kernel.firewall().map_err(Error::kernel("firewall"))?.table.is_some();
        Ok(plan.ops.iter().filter(|op| !(stands && op.is_layout())).cloned().collect())
    }

    /// Compares a plan with the kernel.
    pub fn compare(&mut self, plan: &Plan) -> Result<Vec<Compared>, Error> {
        self.kernel.examine(&plan.ops).map_err(Error::kernel("comparing with the kernel"))
    }

    pub(crate) fn apply(&mut self, object: &str, plan: &Plan) -> Result<(), Error> {
        if plan.ops.iter().any(|op| matches!(op.what, zubi_plan::What::Set(_))) {
            zubi_kernel::settings_writable().map_err(Error::kernel(object))?;
        }
        self.remember_forwarding(plan)?;
        self.follow_firewall(plan)?;
        match self.apply_steadily(plan)? {
            Ok(()) => {
                self.remember_firewall();
                Ok(())
            }
            Err(failed) => {
                self.in_order = None;
                Err(Error::Plan { object: object.to_owned(), failed: Box::new(failed) })
            }
        }
    }

    /// Does it once more when somebody flushed the firewall in the middle of it. The caller holds no lock.
    pub(crate) fn past_a_flush<T>(&mut self, act: impl Fn(&mut Engine) -> Result<T, Error>) -> Result<T, Error> {
        match act(self) {
            Err(e) if e.layout_missing() => {
                self.restore_firewall()?;
                act(self)
            }
            other => other,
        }
    }

    pub(crate) fn take_down(&mut self, object: &str, plan: &Plan, deletions: Deletions) -> Result<(), Error> {
        self.follow_firewall(plan)?;
        let (_, errors) = self.kernel.take_down(plan, deletions);
        self.remember_firewall();
        if errors.is_empty() { Ok(()) } else { Err(Error::Leftover { object: object.to_owned(), errors }) }
    }

    /// How this host is made to forward IPv6.
    pub(crate) fn ipv6_forwarding(&mut self) -> Result<Ipv6Forwarding, Error> {
        let failed = || Error::kernel("IPv6 settings");
        let force = self.kernel.setting(&Place::Host, "net/ipv6/conf/all/force_forwarding").map_err(failed())?;
        if force.is_some() {
            return Ok(Ipv6Forwarding::Force);
        }
        let mut learning = Vec::new();
        // A host that forwards already has lost what it learned, or its administrator has seen to that.
        let forwards = self.kernel.setting(&Place::Host, "net/ipv6/conf/all/forwarding").map_err(failed())?;
        if forwards.as_deref() == Some("1") {
            return Ok(Ipv6Forwarding::Classic { learning });
        }
        for link in self.kernel.links(&Place::Host, None).map_err(failed())? {
            let Ok(name) = link.name.parse::<zubi_model::IfName>() else { continue };
            let key = format!("net/ipv6/conf/{name}/accept_ra");
            let of_a_bridge = link.master.is_some() || link.kind.as_deref() == Some("bridge");
            if link.state == AdminState::Up
                && !link.group.is_ours()
                && !of_a_bridge
                && name != zubi_model::IfName::loopback()
                && self.kernel.setting(&Place::Host, &key).map_err(failed())?.as_deref() == Some("1")
            {
                learning.push(name);
            }
        }
        Ok(Ipv6Forwarding::Classic { learning })
    }

    pub(crate) fn known_networks(&self) -> Vec<NetworkName> {
        self.store.networks_lossy().0.into_iter().map(|n| n.name).collect()
    }
}
