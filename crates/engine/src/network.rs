//! Networks: create, remove, prune.

use crate::chance::random;
use crate::engine::{Act, Engine, Report};
use crate::error::Error;
use crate::fault::Fault;
use crate::publish::on_loopback;
use crate::set_network::leave_to_others;
use ipnet::IpNet;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use zubi_ipam::{Occupied, choose_subnet};
use zubi_kernel::{Deletions, Finding};
use zubi_model::{
    BridgeMode, Driver, Endpoint, Family, Hairpin, Ingress, Invalid, LinkGroup, Mac, Network, NetworkId, NetworkName,
    NetworkSpec, Pool, PoolSpec, PortWish, Promiscuity,
};
use zubi_plan::coexist::{is_of, join, leave};
use zubi_plan::loopback::BridgeNetfilter;
use zubi_plan::network::{Ipv6Forwarding, Last, down, up};
use zubi_plan::{Op, Place, Plan, What, firewall, loopback};
use zubi_store::{Lock, Mode, NetworkDraft, Unsynced};
use zubi_wire::route::{Address, AdminState, Link, LinkChange, LinkMark, LinkSeen};

/// Every automatic network of this name is made at its first use.
pub(crate) const DEFAULT: &str = "default";

/// What became of the networks that killed processes left half-way.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct RecoveredNetworks {
    /// Those that are whole or gone now.
    pub(crate) done: Vec<NetworkName>,
    /// Why another is not; it is tried again by the next command.
    pub(crate) failed: Vec<(NetworkName, Error)>,
}

impl RecoveredNetworks {
    /// Those that are whole or gone now; fails when this one is neither. The others are nobody's business here.
    pub(crate) fn but(self, name: &NetworkName) -> Result<Vec<NetworkName>, Error> {
        match self.failed.into_iter().find(|(failed, _)| failed == name) {
            Some((_, e)) => Err(e),
            None => Ok(self.done),
        }
    }
}

/// What of a network is not decided by what else is there.
#[derive(Debug, Clone)]
struct Birth {
    id: NetworkId,
    bridge_mac: Mac,
    created: u64,
}

impl Birth {
    fn now() -> Result<Self, Error> {
        Ok(Birth {
            id: NetworkId::from_random(random()?),
            bridge_mac: Mac::from_random(random()?),
            created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        })
    }
}

/// A network as it would have been made a moment ago, and its record if that is written already.
#[derive(Debug)]
pub(crate) struct Sketch {
    birth: Birth,
    draft: Option<NetworkDraft>,
}

impl Engine {
    /// Makes a network.
    pub fn create_network(&mut self, spec: NetworkSpec, act: Act) -> Result<Report<Network>, Error> {
        let sketch = self.sketch(&spec, act)?;
        let host = self.store.lock_host(Mode::Exclusive)?;
        self.recover_first(act)?;
        let (report, unsynced) = self.create_locked(spec, sketch, act)?;
        drop(host);
        self.sync_created(&report.value, unsynced)?;
        Ok(report)
    }

    /// The slow part of making a network, without a lock: its record is written to the disk, so that a slow disk keeps
    /// nobody else waiting and one that takes nothing is told before the first effect. What is decided here is decided
    /// again under the lock, and so are the reasons against it.
    fn sketch(&mut self, spec: &NetworkSpec, act: Act) -> Result<Sketch, Error> {
        let birth = Birth::now()?;
        let mut draft = None;
        if act == Act::Apply
            && let Ok(network) = self.decide_network(spec.clone(), &birth)
        {
            draft = Some(self.store.draft_network(&network)?);
        }
        Ok(Sketch { birth, draft })
    }

    /// Makes the record of a new network survive a power failure. Until then nobody was told that there is one, so
    /// when that fails it goes again; unless somebody is attached to it by now.
    fn sync_created(&mut self, network: &Network, unsynced: Option<Unsynced>) -> Result<(), Error> {
        let Err(e) = unsynced.map_or(Ok(()), |unsynced| self.store.sync(unsynced)) else { return Ok(()) };
        Fault::muted(|| {
            let _host = self.store.lock_host(Mode::Exclusive)?;
            let is_it = self.store.network(&network.name)?.as_ref() == Some(network);
            if is_it && self.store.endpoints_on(&network.name)?.is_empty() {
                self.store.begin_network(network)?;
                self.undo_network(network)?;
            }
            Ok::<_, Error>(())
        })?;
        Err(e.into())
    }

    /// Makes a network; the caller holds the host lock alone, and syncs its record when it does not any more.
    fn create_locked(
        &mut self,
        spec: NetworkSpec,
        sketch: Sketch,
        act: Act,
    ) -> Result<(Report<Network>, Option<Unsynced>), Error> {
        if act == Act::Apply {
            self.recover_networks().but(&spec.name)?;
        }
        if spec.name.source().is_some() {
            let why = "is how networks are called that other programs describe";
            return Err(Invalid::new("network name", &spec.name, why).into());
        }
        if self.store.network(&spec.name)?.is_some() {
            return Err(Error::NetworkExists { name: spec.name });
        }
        let object = format!("network {}", spec.name);
        self.refuse_other_instance()?;
        let network = self.decide_network(spec, &sketch.birth)?;
        let draft = sketch.draft.filter(|draft| *draft.network() == network);
        let (mut networks, _) = self.store.networks_lossy();
        let mut up = up(&network, &self.ipv6_forwarding()?);
        mark_bridge(&mut up, &network, &self.run_folder());
        let closed = self.close(&mut up)?;
        if act == Act::Apply {
            self.tell_closed(&closed);
        }
        let mut plan = self.lost_firewall()?;
        put_behind(&mut plan, up);
        networks.push(network.clone());
        let mut look = self.look_at_strangers(&networks)?;
        join(&mut plan, std::mem::take(&mut look.plan));
        self.tell(&look, std::slice::from_ref(&network));
        self.tell_legacy(std::slice::from_ref(&network));
        if act == Act::Show {
            return Ok((Report { plan, value: network }, None));
        }
        let draft = match draft {
            Some(draft) => draft,
            // Somebody else was faster, and so it is to be another one.
            None => self.store.draft_network(&network)?,
        };
        let made: Result<Unsynced, Error> = (|| {
            self.store.begin_network(&network)?;
            self.apply(&object, &plan)?;
            self.firewall_is_in_order(&look, &networks);
            let unsynced = self.store.publish_network(draft)?;
            self.store.end_network(&network.name)?;
            Ok(unsynced)
        })();
        match made {
            Ok(unsynced) => Ok((Report { plan, value: network }, Some(unsynced))),
            Err(e) => Err(e.after_undo(Fault::muted(|| self.undo_network(&network)))),
        }
    }

    /// Takes a network away whatever state it is in. It is recorded as being made or unmade.
    fn undo_network(&mut self, network: &Network) -> Result<(), Error> {
        let name = &network.name;
        let plan = self.plan_down(network)?;
        let unneeded = self.unneeded_without(Some(network));
        self.forget_firewall()?;
        // From here on it is undone: what is left of it is found by the other record.
        if let Err(e) = self.store.remove_network(name) {
            if self.store.network(name)?.is_some() {
                // It stays as it is.
                self.store.end_network(name)?;
            }
            return Err(e.into());
        }
        self.take_down(&format!("network {name}"), &plan, Deletions::Now)?;
        self.forget_forwarding(&unneeded)?;
        self.store.forget_network(name)?;
        self.store.end_network(name)?;
        Ok(())
    }

    /// Takes away the networks that were only half made, or half taken away, when a command was killed. The caller
    /// holds the host lock alone. One that cannot be finished keeps no other from it.
    pub(crate) fn recover_networks(&mut self) -> RecoveredNetworks {
        let mut recovered = RecoveredNetworks::default();
        // A file that cannot be read is reported by `check`.
        for network in self.store.networks_in_making_lossy().0 {
            match self.recover_network(&network) {
                Ok(Interrupted::Yes) => recovered.done.push(network.name),
                Ok(Interrupted::No) => {}
                Err(e) => recovered.failed.push((network.name, e)),
            }
        }
        recovered
    }

    fn recover_network(&mut self, network: &Network) -> Result<Interrupted, Error> {
        match self.store.network(&network.name)? {
            // It is complete: either the last word is missing, or the first was all that was said.
            Some(complete) if complete == *network => {
                self.store.end_network(&network.name)?;
                return Ok(Interrupted::No);
            }
            // It was being changed.
            Some(complete) if complete.id == network.id => {
                self.return_to(&complete, network)?;
                self.store.end_network(&network.name)?;
            }
            _ => self.undo_network(network)?,
        }
        Ok(Interrupted::Yes)
    }

    fn decide_network(&mut self, spec: NetworkSpec, birth: &Birth) -> Result<Network, Error> {
        let (others, mut unreadable) = self.store.networks_lossy();
        // A network that cannot be read may have any subnet.
        if let Some(e) = unreadable.pop() {
            return Err(e.into());
        }
        let families = [Family::V4, Family::V6];
        let occupied = self.in_the_way(&others, &families)?;
        let pools = self.decide_pools(&spec, &occupied)?;
        let id = birth.id.clone();
        if let Some(mtu) = spec.mtu.filter(|_| pools.iter().any(|p| p.subnet.family() == Family::V6)) {
            mtu.carries_ipv6()?;
        }
        let bridge = match spec.bridge {
            Some(bridge) => bridge,
            None => Network::default_bridge(&spec.name, &id)?,
        };
        if let Some(other) = others.iter().find(|n| n.bridge == bridge) {
            return Err(Invalid::new("bridge", &bridge, format!("is the bridge of network {}", other.name)).into());
        }
        if let Some(seen) = self.kernel.link(&Place::Host, bridge.as_str()).map_err(Error::kernel("bridge"))? {
            let kind = seen.kind.unwrap_or_else(|| "device".into());
            return Err(Error::Kernel {
                object: format!("network {}", spec.name),
                source: zubi_kernel::Error::Conflict {
                    object: format!("bridge {bridge}"),
                    found: format!("a {kind} that zubi did not make; choose another name with --bridge"),
                },
            });
        }
        Ok(Network {
            name: spec.name,
            id,
            created: birth.created,
            driver: Driver::Bridge,
            bridge,
            bridge_mac: birth.bridge_mac,
            mtu: spec.mtu,
            pools,
            scope: spec.scope,
            egress: spec.egress,
            icc: spec.icc,
            ingress: Ingress::default(),
            bridge_mode: BridgeMode::default(),
            hairpin: Hairpin::default(),
            promiscuity: Promiscuity::default(),
            labels: spec.labels,
        })
    }

    /// The subnets that were asked for, checked against everything in use, and automatic ones for the families that
    /// have none.
    fn decide_pools(&mut self, spec: &NetworkSpec, occupied: &[Occupied]) -> Result<Vec<Pool>, Error> {
        let mut pools: Vec<Pool> = Vec::new();
        for wish in &spec.pools {
            let pool = wish.clone().decide()?;
            if let Some(same) = pools.iter().find(|p| p.subnet.family() == pool.subnet.family()) {
                let why = format!("is a second {} subnet beside {}", pool.subnet.family(), same.subnet);
                return Err(Invalid::new("subnet", pool.subnet, why).try_instead("give one of each family").into());
            }
            let net = pool.subnet.net();
            if let Some(other) = occupied.iter().find(|o| in_use(o.net) && pool.subnet.overlaps(o.net)) {
                return Err(Error::Overlap { name: spec.name.clone(), subnet: net.to_string(), by: other.by.clone() });
            }
            pools.push(pool);
        }
        for family in &spec.families {
            if pools.iter().any(|p| p.subnet.family() == *family) {
                continue;
            }
            let subnet = choose_subnet(&self.pools(), *family, occupied)
                .map_err(|error| Error::NoSubnet { name: spec.name.clone(), error })?;
            pools.push(PoolSpec { subnet, gateway: None, range: None, exclude: Vec::new() }.decide()?);
        }
        pools.sort_by_key(|p| p.subnet.family());
        Ok(pools)
    }

    /// The network, made now if it is the default one and not there; and the plan of making it.
    pub(crate) fn default_network(&mut self, act: Act) -> Result<Report<Network>, Error> {
        let name: NetworkName = DEFAULT.parse()?;
        if let Some(network) = self.store.network(&name)? {
            return Ok(Report { plan: Plan::new(), value: network });
        }
        let spec = NetworkSpec::new(name);
        let sketch = self.sketch(&spec, act)?;
        let host = self.store.lock_host(Mode::Exclusive)?;
        // Somebody else may have been faster.
        if let Some(network) = self.store.network(&spec.name)? {
            return Ok(Report { plan: Plan::new(), value: network });
        }
        let (report, unsynced) = self.create_locked(spec, sketch, act)?;
        drop(host);
        self.sync_created(&report.value, unsynced)?;
        Ok(report)
    }

    /// Removes a network without endpoints. A missing one is an error, as with Docker.
    pub fn remove_network(&mut self, name: &NetworkName, act: Act) -> Result<Report<()>, Error> {
        let _host = self.store.lock_host(Mode::Exclusive)?;
        self.recover_first(act)?;
        let interrupted = if act == Act::Apply { self.recover_networks().but(name)? } else { Vec::new() };
        let Some(network) = self.store.network(name)? else {
            if interrupted.contains(name) {
                return Ok(Report { plan: Plan::new(), value: () });
            }
            return Err(Error::NoNetwork { name: name.clone(), known: self.known_networks() });
        };
        self.remove_network_locked(&network, act)
    }

    pub(crate) fn remove_network_locked(&mut self, network: &Network, act: Act) -> Result<Report<()>, Error> {
        let name = &network.name;
        if act == Act::Apply {
            self.bury_dead(Some(name))?;
        }
        let endpoints = self.store.endpoints_on(name)?;
        // What is only shown has not buried the dead.
        let free = endpoints.is_empty() || (act == Act::Show && self.all_dead(&endpoints)?);
        if !free {
            let endpoints = endpoints.into_iter().map(|e| e.sandbox.spelled).collect();
            return Err(Error::NetworkInUse { name: name.clone(), endpoints });
        }
        let plan = self.plan_down(network)?;
        if act == Act::Apply {
            self.store.begin_network(network)?;
            self.undo_network(network)?;
        }
        Ok(Report { plan, value: () })
    }

    pub(crate) fn plan_down(&mut self, network: &Network) -> Result<Plan, Error> {
        let (others, unreadable) = self.store.networks_lossy();
        let last = others.iter().all(|n| n.name == network.name) && unreadable.is_empty();
        let mut plan = down(network, if last { Last::Yes } else { Last::No });
        let others: Vec<Network> = others.into_iter().filter(|n| n.name != network.name).collect();
        let shared = others.iter().any(|n| n.bridge == network.bridge);
        // Before the guests: their numbers are to be of the generation that is expected.
        let mut back = self.forwarding_back(Some(network))?;
        if last {
            back.elements.clear();
        }
        let guests = self.kernel.guests().map_err(Error::kernel("firewalls of other programs"))?;
        let ours = guests.into_iter().filter(|guest| guest.owner.is_none() && is_of(&guest.rule, network));
        join(&mut plan, leave(&ours.map(|guest| guest.rule).collect::<Vec<_>>()));
        // Somebody else's device may have the bridge's name by now.
        let seen = self.kernel.link(&Place::Host, network.bridge.as_str()).map_err(Error::kernel("bridge"))?;
        let managed = network.bridge_mode == BridgeMode::Managed;
        let stranger = |s: &LinkSeen| managed && !is_bridge_of(network, s);
        if shared || seen.as_ref().is_some_and(stranger) {
            plan.ops.retain(|op| !matches!(op.what, What::DeleteLink(_)));
        }
        for op in &mut plan.ops {
            if let What::DeleteLink(bridge) = &mut op.what {
                // Somebody may have changed it; it is the one that was found.
                bridge.mac = seen.as_ref().and_then(|seen| seen.mac);
            }
        }
        let ours = seen.as_ref().is_some_and(|s| s.group == LinkGroup::OURS);
        if shared && ours {
            // The bridge stays for others; what the host had on it for this one does not.
            const WHY: &str = "the host's address on the bridge that stays for another network";
            let own = network.pools.iter().filter_map(Pool::host_address);
            let gone = own.map(|a| What::DeleteAddress(Address::new(a, network.bridge.clone())));
            plan.ops.splice(0..0, gone.map(|what| Op::host(what, WHY)));
        } else if !shared && !managed && ours {
            // It was made for another network, which left it to this one.
            let bridge = LinkMark { name: network.bridge.clone(), mac: None };
            plan.ops.insert(0, Op::host(What::DeleteLink(bridge), "the bridge goes with its last network"));
        }
        leave_to_others(&mut plan, network, &others);
        let at = plan.ops.iter().position(Op::is_nft).unwrap_or(plan.ops.len());
        plan.ops.splice(at..at, back.settings.into_iter().chain(back.elements));
        Ok(plan)
    }

    /// Removes every network without endpoints.
    pub fn prune_networks(&mut self, act: Act) -> Result<Report<Vec<NetworkName>>, Error> {
        let _host = self.store.lock_host(Mode::Exclusive)?;
        self.recover_first(act)?;
        let mut report = Report { plan: Plan::new(), value: Vec::new() };
        for network in self.store.networks_lossy().0 {
            match self.remove_network_locked(&network, act) {
                Ok(removed) => {
                    report.plan.append(removed.plan);
                    report.value.push(network.name);
                }
                Err(Error::NetworkInUse { .. }) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(report)
    }

    /// The host's lock, and these networks as they are under it, each with what is missing of it; the first is to have
    /// these ports. Shared is enough
    /// unless something is missing: nobody else may rely on a part that is taken back when another part fails.
    pub(crate) fn lock_networks(
        &mut self,
        names: &[NetworkName],
        ports: &[PortWish],
        act: Act,
    ) -> Result<(Lock, Vec<(Network, Plan)>), Error> {
        let mut mode = Mode::Shared;
        loop {
            let lock = self.store.lock_host(mode)?;
            self.recover_first(act)?;
            let mut networks = Vec::new();
            for name in names {
                let missing = || Error::NoNetwork { name: name.clone(), known: self.known_networks() };
                networks.push(self.store.network(name)?.ok_or_else(missing)?);
            }
            let mut all: Vec<(Network, Plan)> = Vec::new();
            let mut firewall = if names.is_empty() { Plan::new() } else { self.missing_firewall(&networks)? };
            self.tell_legacy(&networks);
            for network in networks {
                let mut missing = std::mem::take(&mut firewall);
                let on_loopback = all.is_empty() && on_loopback(&network, ports);
                put_behind(&mut missing, self.missing_network(&network, on_loopback)?);
                all.push((network, missing));
            }
            if mode == Mode::Exclusive || act == Act::Show || all.iter().all(|(_, missing)| missing.is_empty()) {
                return Ok((lock, all));
            }
            mode = Mode::Exclusive;
        }
    }

    /// The whole firewall, from the records, if there is one no more or its rules are gone.
    fn lost_firewall(&mut self) -> Result<Plan, Error> {
        if self.kernel.firewall_stands().map_err(Error::kernel("firewall"))? {
            return Ok(Plan::new());
        }
        self.firewall_from_records()
    }

    /// What it takes to publish ports on 127.0.0.1, unless it is there.
    pub(crate) fn missing_loopback(&mut self, network: &Network) -> Result<Plan, Error> {
        // The setting comes last: where it is, the guard was.
        let op = loopback::route_localnet(network);
        let compared = self.kernel.examine(&[op]).map_err(Error::kernel(format!("network {}", network.name)))?;
        let lacks = compared.iter().any(|(_, finding)| *finding != Finding::Same);
        if lacks { self.loopback(network) } else { Ok(Plan::new()) }
    }

    fn loopback(&mut self, network: &Network) -> Result<Plan, Error> {
        Ok(loopback::loopback(network, self.host_facts()?.netfilter))
    }

    /// Everything a network is made of, with what its endpoints' published ports need of it.
    fn plan_up(&mut self, network: &Network) -> Result<Plan, Error> {
        self.refuse_other_instance()?;
        let endpoints = self.store.all_endpoints_lossy().0;
        let own = endpoints.iter().filter(|e| e.network == network.name);
        let mut plan = plan_up(network, &self.host_facts()?, own);
        self.close(&mut plan)?;
        Ok(plan)
    }

    /// What of this host decides how networks are made.
    pub(crate) fn host_facts(&mut self) -> Result<HostFacts, Error> {
        let setting = self.kernel.setting(&Place::Host, "net/bridge/bridge-nf-call-iptables");
        let netfilter = match setting.map_err(Error::kernel("bridge netfilter"))?.as_deref() {
            Some("1") => BridgeNetfilter::On,
            _ => BridgeNetfilter::Off,
        };
        Ok(HostFacts { ipv6: self.ipv6_forwarding()?, netfilter, run: self.run_folder() })
    }

    /// The operations a network stands for, beside those all networks share.
    pub(crate) fn network_ops<'a>(
        &mut self,
        facts: &HostFacts,
        network: &Network,
        endpoints: impl IntoIterator<Item = &'a Endpoint>,
    ) -> Result<Vec<Op>, Error> {
        let mut plan = plan_up(network, facts, endpoints);
        self.close(&mut plan)?;
        plan.ops.extend(zubi_plan::network::kept(network));
        Ok(plan.ops.into_iter().filter(|op| !op.is_layout()).collect())
    }

    /// Everything a network is made of, if its bridge is not there or not complete: after a reboot, when somebody
    /// deleted it, or when a command was killed while it put the network back.
    fn missing_network(&mut self, network: &Network, on_loopback: bool) -> Result<Plan, Error> {
        let object = format!("network {}", network.name);
        let seen = self.kernel.link(&Place::Host, network.bridge.as_str()).map_err(Error::kernel(&object))?;
        match seen {
            Some(seen) if is_bridge_of(network, &seen) && network.bridge_mode == BridgeMode::Adopted => {
                self.missing_on_adopted(network, on_loopback)
            }
            Some(seen) if is_bridge_of(network, &seen) && is_complete(network, &seen) => {
                let lacks = on_loopback
                    && network.bridge_mode != BridgeMode::Unmanaged
                    && seen.settings.get("ipv4", "route_localnet") != Some(1);
                if lacks { self.loopback(network) } else { Ok(Plan::new()) }
            }
            Some(seen) if !is_bridge_of(network, &seen) => Err(Error::Kernel {
                object,
                source: zubi_kernel::Error::Conflict {
                    object: format!("bridge {}", network.bridge),
                    found: format!("a {} that zubi did not make", seen.kind.as_deref().unwrap_or("device")),
                },
            }),
            None if network.bridge_mode != BridgeMode::Managed => {
                Err(Error::NoBridge { network: network.name.clone(), bridge: network.bridge.clone() })
            }
            Some(seen) if !zubi_plan::network::bridge(network).is(&seen) => {
                let mut plan = self.plan_up_with(network, on_loopback)?;
                for op in &mut plan.ops {
                    if let What::AddLink(bridge) = &op.what {
                        op.what = What::ChangeLink(mark(bridge));
                    }
                }
                Ok(plan)
            }
            _ => self.plan_up_with(network, on_loopback),
        }
    }

    /// The same, and what publishing on 127.0.0.1 takes, if somebody is about to.
    fn plan_up_with(&mut self, network: &Network, on_loopback: bool) -> Result<Plan, Error> {
        let mut plan = self.plan_up(network)?;
        if on_loopback && !plan.ops.contains(&loopback::route_localnet(network)) {
            plan.append(self.loopback(network)?);
        }
        Ok(plan)
    }

    /// A bridge that was there before is up without anything of the network, so each part of it is looked for.
    fn missing_on_adopted(&mut self, network: &Network, on_loopback: bool) -> Result<Plan, Error> {
        let mut plan = self.plan_up_with(network, on_loopback)?;
        // Whether the firewall stands has been looked at already.
        plan.ops.retain(|op| !op.is_layout());
        let compared = self.kernel.examine(&plan.ops).map_err(Error::kernel(format!("network {}", network.name)))?;
        Ok(compared.into_iter().filter(|(_, finding)| *finding != Finding::Same).map(|(op, _)| op).collect())
    }

    /// Puts the firewall back if it is not whole. Nothing is in the middle of being made meanwhile, so that the
    /// records say everything.
    pub(crate) fn restore_firewall(&mut self) -> Result<(), Error> {
        let _host = self.store.lock_host(Mode::Exclusive)?;
        if self.check_firewall()?.is_some() {
            let networks = self.store.networks_lossy().0;
            let mut firewall = self.firewall_from_records()?;
            firewall.append(self.look_at_strangers(&networks)?.plan);
            self.apply("firewall", &firewall)?;
        }
        Ok(())
    }

    /// Puts the whole firewall back from the records, in one transaction. The caller holds the host lock alone.
    pub(crate) fn firewall_from_records(&mut self) -> Result<Plan, Error> {
        const WHY: &str = "put the firewall back as the records have it";
        let mut plan = Plan::new();
        let seen = self.kernel.firewall().map_err(Error::kernel("firewall"))?;
        if seen.is_strangers() {
            return Err(Error::ForeignTable { table: firewall::table().to_string() });
        }
        if seen.table.is_some() {
            plan.push(Op::host(What::DeleteTable(firewall::table()), WHY));
        }
        plan.ops.extend(firewall::layout());
        let networks = self.store.networks_lossy().0;
        let endpoints = self.store.all_endpoints_lossy().0;
        let closed = self.closed_elements()?;
        let elements = networks
            .iter()
            .flat_map(firewall::network_elements)
            .chain(endpoints.iter().flat_map(firewall::endpoint_elements));
        plan.ops.extend(elements.chain(closed).map(|e| Op::host(What::AddElement(e), WHY)));
        Ok(plan)
    }
}

/// What of a host decides how networks are made on it.
#[derive(Debug)]
pub(crate) struct HostFacts {
    ipv6: Ipv6Forwarding,
    netfilter: BridgeNetfilter,
    /// The run folder of this zubi.
    run: PathBuf,
}

/// Everything a network is made of, with what the published ports of these endpoints of it need.
fn plan_up<'a>(network: &Network, facts: &HostFacts, endpoints: impl IntoIterator<Item = &'a Endpoint>) -> Plan {
    let mut plan = up(network, &facts.ipv6);
    mark_bridge(&mut plan, network, &facts.run);
    let ports = endpoints.into_iter().flat_map(|e| &e.ports).map(|port| PortWish::from(*port));
    if on_loopback(network, &ports.collect::<Vec<_>>()) {
        // Before the bridge goes up: one that is up is complete.
        let at = plan.ops.len().saturating_sub(1);
        plan.ops.splice(at..at, loopback::loopback(network, facts.netfilter).ops);
    }
    plan
}

/// Says on the bridge of a network which zubi made it: the last operation of the plan takes it up.
fn mark_bridge(plan: &mut Plan, network: &Network, run: &Path) {
    if network.bridge_mode == BridgeMode::Managed
        && let Some(Op { what: What::ChangeLink(go_up), .. }) =
            plan.ops.iter_mut().rfind(|op| matches!(&op.what, What::ChangeLink(c) if c.name == network.bridge))
    {
        go_up.alias = Some(zubi_plan::alias::of_network(network, run));
    }
}

/// Whether a network was left half-way.
enum Interrupted {
    Yes,
    No,
}

/// Whether a device is the bridge of a network.
pub(crate) fn is_bridge_of(network: &Network, seen: &LinkSeen) -> bool {
    match network.bridge_mode {
        BridgeMode::Managed => zubi_plan::network::bridge(network).resembles(seen),
        BridgeMode::Adopted | BridgeMode::Unmanaged => seen.kind.as_deref() == Some("bridge"),
    }
}

/// Gives a link of ours its marks back.
fn mark(link: &Link) -> LinkChange {
    LinkChange { mac: Some(link.mac), group: Some(link.group), ..LinkChange::none(link.name.clone()) }
}

/// The bridge goes up last. One that is somebody else's is up when its owner wants it.
fn is_complete(network: &Network, seen: &LinkSeen) -> bool {
    match network.bridge_mode {
        BridgeMode::Managed => seen.state == AdminState::Up && zubi_plan::network::bridge(network).is(seen),
        BridgeMode::Adopted => seen.state == AdminState::Up,
        BridgeMode::Unmanaged => true,
    }
}

/// A plan behind another one, which puts the whole firewall back if it does not stand: what both say is said once. The
/// same element, or the table, twice in one transaction makes the kernel take all of it back, and wait for its readers
/// (10 ms).
fn put_behind(first: &mut Plan, second: Plan) {
    let whole = first.ops.iter().any(Op::is_layout);
    let said = |op: &Op| {
        let element = whole && matches!(op.what, What::AddElement(_));
        op.is_layout() || (element && first.ops.iter().any(|earlier| earlier.what == op.what))
    };
    let rest: Vec<Op> = second.ops.into_iter().filter(|op| !said(op)).collect();
    first.ops.extend(rest);
}

/// A default route, or the halves VPNs split it into, occupies nothing.
fn in_use(net: IpNet) -> bool {
    net.prefix_len() > 1
}
