//! Attach: a sandbox gets an endpoint on a network.

use crate::chance::{random, random_name};
use crate::engine::{Act, Engine, Report};
use crate::error::{Error, unknown_owner};
use crate::fault::Fault;
use crate::resolve::Resolved;
use ipnet::IpNet;
use std::net::IpAddr;
use zubi_ipam::{check_fixed, next_address};
use zubi_kernel::sys;
use zubi_model::{
    Endpoint, EndpointAddress, EndpointKey, Family, IfName, Invalid, Mac, MacWish, Network, NetworkName,
    SandboxIdentity, SandboxRef, Wishes,
};
use zubi_plan::endpoint::{Surroundings, attach, default_families, may_default};
use zubi_plan::{Place, Plan};
use zubi_store::Mode;
use zubi_wire::route::AdminState;

/// How often a crowd may snatch the device name or the dead be buried before it is an error.
const TRIES: usize = 3;

/// An endpoint as it is now.
#[derive(Debug, Clone)]
pub struct Attached {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Whether it was there already.
    pub attachment: Attachment,
    /// The families in which it gives the sandbox its default route.
    pub default_in: Vec<Family>,
}

/// Whether an attach made something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// It did.
    New,
    /// It was there, and as wished.
    Existing,
}

impl Engine {
    /// Attaches a sandbox to a network. Attaching it again as it is gives the same answer.
    pub fn attach(
        &mut self,
        network: &NetworkName,
        sandbox: &SandboxRef,
        wishes: &Wishes,
        act: Act,
    ) -> Result<Report<Attached>, Error> {
        let _host = self.store.lock_host(Mode::Shared)?;
        self.recover()?;
        let Some(network) = self.store.network(network)? else {
            return Err(Error::NoNetwork { name: network.clone(), known: self.known_networks() });
        };
        check_wishes(&network, wishes)?;
        let resolved = self.resolve(sandbox)?;
        self.attach_resolved(&network, &resolved, wishes, act)
    }

    /// The caller holds the host lock.
    pub(crate) fn attach_resolved(
        &mut self,
        network: &Network,
        sandbox: &Resolved,
        wishes: &Wishes,
        act: Act,
    ) -> Result<Report<Attached>, Error> {
        let _sandbox = self.store.lock_sandbox(sandbox.cookie)?;
        let key = EndpointKey { cookie: sandbox.cookie, network: network.name.clone() };
        if act == Act::Apply
            && let Some(leftover) = self.store.pending_endpoint(&key)?
        {
            // Its maker is dead, or we would not hold the lock.
            self.bury(&leftover, Some(&sandbox.reached_by))?;
        }
        let mut wishes = wishes.clone();
        if let Some(existing) = self.store.endpoint(&key)? {
            if self.host_end(&existing)?.is_some() {
                return self.existing(existing, &wishes);
            }
            // Somebody deleted the device: it is made again, with the address it had.
            if act == Act::Apply {
                if wishes.addresses.is_empty() {
                    wishes.addresses = existing.addresses.iter().map(|a| a.address.addr()).collect();
                }
                self.bury(&existing, Some(&sandbox.reached_by))?;
            }
        }
        if act == Act::Apply {
            self.retire_namesake(&key, sandbox)?;
        }

        let object = format!("network {}: connect {}", network.name, sandbox.spelled);
        let groundwork = self.missing_network(network)?;
        if act == Act::Apply && !groundwork.is_empty() {
            self.apply(&object, &groundwork)?;
        }
        let mut tries = 0;
        let (endpoint, around) = loop {
            let (endpoint, around) = self.decide_endpoint(network, sandbox, &wishes)?;
            if act == Act::Show {
                break (endpoint, around);
            }
            match self.claim(network, &endpoint) {
                Ok(()) => break (endpoint, around),
                Err(Error::AddressTaken { .. }) if wishes.addresses.is_empty() && tries < TRIES => tries += 1,
                Err(e) => return Err(e),
            }
        };
        let plan = attach(network, &endpoint, &around);
        if act == Act::Apply {
            self.apply_endpoint(&object, &endpoint, &plan)?;
        }
        let mut shown = groundwork;
        shown.append(plan);
        let value = Attached { endpoint, attachment: Attachment::New, default_in: around.default_in };
        Ok(Report { plan: shown, value })
    }

    /// Applies the plan of a claimed endpoint; when it fails nothing of the endpoint stays.
    fn apply_endpoint(&mut self, object: &str, endpoint: &Endpoint, plan: &Plan) -> Result<(), Error> {
        let mut applied = self.apply(object, plan);
        if applied.as_ref().is_err_and(Error::layout_missing) {
            let firewall = self.firewall_from_records()?;
            self.apply("firewall", &firewall)?;
            applied = self.apply(object, plan);
        }
        let done = applied.and_then(|()| self.store.finish_attach(&endpoint.key()).map_err(Error::from));
        if let Err(error) = done {
            Fault::muted(|| self.undo_attach(endpoint))?;
            return Err(error);
        }
        Ok(())
    }

    /// The kernel part has been rolled back, or was finished while the record could not be: both are taken away from
    /// the record.
    fn undo_attach(&mut self, endpoint: &Endpoint) -> Result<(), Error> {
        self.bury(endpoint, Some(&endpoint.sandbox.reached_by.clone()))
    }

    /// The same endpoint again, unless something else is wished now.
    fn existing(&mut self, endpoint: Endpoint, wishes: &Wishes) -> Result<Report<Attached>, Error> {
        let differs = |what, has: String| Error::Different {
            sandbox: endpoint.sandbox.spelled.clone(),
            network: endpoint.network.clone(),
            what,
            has,
        };
        let addresses: Vec<IpAddr> = endpoint.addresses.iter().map(|a| a.address.addr()).collect();
        if wishes.addresses.iter().any(|a| !addresses.contains(a)) {
            let has: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            return Err(differs("address", has.join(", ")));
        }
        if let MacWish::Given(mac) = wishes.mac
            && mac != endpoint.mac
        {
            return Err(differs("MAC", endpoint.mac.to_string()));
        }
        if let Some(ifname) = &wishes.ifname
            && *ifname != endpoint.ifname
        {
            return Err(differs("device name", endpoint.ifname.to_string()));
        }
        if !wishes.routes.is_empty() && wishes.routes != endpoint.routes {
            return Err(differs("set of routes", format!("{} routes", endpoint.routes.len())));
        }
        if !wishes.aliases.is_empty() && wishes.aliases != endpoint.aliases {
            return Err(differs("set of aliases", format!("{} aliases", endpoint.aliases.len())));
        }
        let siblings = self.siblings(&endpoint)?;
        let default_in = default_families(&endpoint, &siblings, &[]);
        Ok(Report { plan: Plan::new(), value: Attached { endpoint, attachment: Attachment::Existing, default_in } })
    }

    /// The other endpoints of the same sandbox.
    pub(crate) fn siblings(&self, endpoint: &Endpoint) -> Result<Vec<Endpoint>, Error> {
        let mut all = self.store.endpoints_of(endpoint.sandbox.cookie)?;
        all.retain(|e| e.network != endpoint.network);
        Ok(all)
    }

    /// The same name may have led to another namespace before: the container was started again. Its old endpoint is
    /// taken away, so that its address is free.
    fn retire_namesake(&mut self, key: &EndpointKey, sandbox: &Resolved) -> Result<(), Error> {
        let Some(old) = self.store.cookie_of_name(&key.network, &sandbox.spelled)? else { return Ok(()) };
        if old == key.cookie {
            return Ok(());
        }
        // Whoever holds its lock is taking care of it.
        let Some(_lock) = self.store.try_lock_sandbox(old)? else { return Ok(()) };
        let old = EndpointKey { cookie: old, network: key.network.clone() };
        match self.store.endpoint(&old)? {
            Some(endpoint) => self.bury(&endpoint, None),
            None => Ok(()),
        }
    }

    /// Chooses everything that is not wished, over what the kernel and the records say.
    fn decide_endpoint(
        &mut self,
        network: &Network,
        sandbox: &Resolved,
        wishes: &Wishes,
    ) -> Result<(Endpoint, Surroundings), Error> {
        let siblings: Vec<Endpoint> =
            self.store.endpoints_of(sandbox.cookie)?.into_iter().filter(|e| e.network != network.name).collect();
        let (ifname, loopback) = self.choose_device(sandbox, &siblings, wishes)?;
        let endpoint = self.compose(network, sandbox, ifname, wishes)?;
        let taken = self.foreign_defaults(sandbox, &endpoint, &siblings)?;
        let default_in = default_families(&endpoint, &siblings, &taken);
        Ok((endpoint, Surroundings { loopback, default_in }))
    }

    /// An endpoint with its addresses and MAC chosen.
    fn compose(
        &mut self,
        network: &Network,
        sandbox: &Resolved,
        ifname: IfName,
        wishes: &Wishes,
    ) -> Result<Endpoint, Error> {
        let mut endpoint = Endpoint {
            network: network.name.clone(),
            network_id: network.id.clone(),
            sandbox: SandboxIdentity {
                cookie: sandbox.cookie,
                spelled: sandbox.spelled.clone(),
                reached_by: sandbox.reached_by.clone(),
            },
            ifname,
            mac: Mac::from_random(random()?),
            host_device: random_name::<5>("zv")?.parse()?,
            bridge: network.bridge.clone(),
            addresses: Vec::new(),
            routes: wishes.routes.clone(),
            default_route: may_default(network, wishes.default_route),
            aliases: wishes.aliases.clone(),
            attached_at: sys::boot_clock().map_err(Error::system("attach", "read", "boot clock"))?,
        };
        self.choose_addresses(network, &mut endpoint, wishes)?;
        self.choose_mac(network, &mut endpoint, wishes.mac)?;
        Ok(endpoint)
    }

    /// An endpoint of a sandbox that does not exist yet, for showing only.
    pub(crate) fn endpoint_for_show(
        &mut self,
        network: &Network,
        name: &zubi_model::SandboxName,
        siblings: &[Endpoint],
        wishes: &Wishes,
    ) -> Result<Endpoint, Error> {
        check_wishes(network, wishes)?;
        let ifname = match &wishes.ifname {
            Some(name) => name.clone(),
            None => IfName::numbered("eth", siblings.len())?,
        };
        let sandbox = Resolved {
            reached_by: zubi_model::NsRef::Named(name.clone()),
            spelled: name.to_string(),
            cookie: zubi_model::NetnsCookie(0),
        };
        self.compose(network, &sandbox, ifname, wishes)
    }

    /// The name of the inner end: `eth0`, or the next that neither the records nor the sandbox have. Also tells
    /// whether the sandbox's loopback is up.
    fn choose_device(
        &mut self,
        sandbox: &Resolved,
        siblings: &[Endpoint],
        wishes: &Wishes,
    ) -> Result<(IfName, AdminState), Error> {
        let place = Place::Sandbox(sandbox.reached_by.clone());
        let failed = || Error::kernel(format!("sandbox {}", sandbox.spelled));
        let used = |name: &IfName| siblings.iter().find(|s| s.ifname == *name);
        let mut loopback = AdminState::Down;
        for number in 0.. {
            let name = match &wishes.ifname {
                Some(name) => name.clone(),
                None => IfName::numbered("eth", number)?,
            };
            let by = used(&name).map(|s| format!("its end on network {}", s.network));
            let mut links = if by.is_some() && wishes.ifname.is_none() {
                continue;
            } else {
                self.kernel.links_named(&place, &["lo", name.as_str()]).map_err(failed())?.into_iter()
            };
            if let Some(Some(lo)) = links.next() {
                loopback = lo.state;
            }
            match links.next().flatten() {
                None if by.is_none() => return Ok((name, loopback)),
                _ if wishes.ifname.is_none() => {}
                seen => {
                    let kind = seen.and_then(|s| s.kind);
                    return Err(Error::DeviceTaken {
                        sandbox: sandbox.spelled.clone(),
                        ifname: name.to_string(),
                        by: by.or(kind),
                    });
                }
            }
        }
        unreachable!("device numbers do not end before names become too long, which is an error")
    }

    fn choose_addresses(&mut self, network: &Network, endpoint: &mut Endpoint, wishes: &Wishes) -> Result<(), Error> {
        for pool in &network.pools {
            let family = pool.subnet.family();
            let fixed = wishes.addresses.iter().find(|a| Family::of(**a) == family).copied();
            let address = match fixed {
                Some(address) => {
                    check_fixed(pool, address)?;
                    self.free_if_dead(network, address, endpoint)?;
                    address
                }
                None => self.next_free(network, pool)?,
            };
            let with_prefix = IpNet::new_assert(address, pool.subnet.net().prefix_len());
            endpoint.addresses.push(EndpointAddress { address: with_prefix, gateway: pool.gateway });
        }
        Ok(())
    }

    /// The next free address of a pool; when all are taken, those of the dead are freed first.
    fn next_free(&mut self, network: &Network, pool: &zubi_model::Pool) -> Result<IpAddr, Error> {
        let mut buried = false;
        loop {
            let cursor = self.store.cursor(&network.name, pool.subnet.family())?;
            let mut trouble = None;
            let store = &self.store;
            let mut is_taken = |address| {
                store.is_leased(&network.name, address).unwrap_or_else(|e| {
                    trouble = Some(e);
                    true
                })
            };
            let next = next_address(pool, cursor, &mut is_taken);
            if let Some(e) = trouble {
                return Err(e.into());
            }
            match next {
                Ok(address) => return Ok(address),
                Err(_) if !buried => {
                    self.bury_dead(Some(&network.name))?;
                    buried = true;
                }
                Err(error) => return Err(Error::Exhausted { network: network.name.clone(), error }),
            }
        }
    }

    /// A fixed address that a dead sandbox still holds is freed.
    fn free_if_dead(&mut self, network: &Network, address: IpAddr, endpoint: &Endpoint) -> Result<(), Error> {
        let Some(owner) = self.store.lease_owner(&network.name, address)? else { return Ok(()) };
        if owner == endpoint.key() || self.bury_if_dead(&owner)? {
            return Ok(());
        }
        let owner = self.owner_name(&owner)?;
        Err(Error::AddressTaken { network: network.name.clone(), address, owner })
    }

    fn choose_mac(&mut self, network: &Network, endpoint: &mut Endpoint, wish: MacWish) -> Result<(), Error> {
        let wished = match wish {
            MacWish::Random => return Ok(()),
            MacWish::Given(mac) => mac,
            MacWish::FromAddress => match endpoint.addresses.first() {
                Some(first) => Mac::from_address(first.address.addr()),
                None => return Ok(()),
            },
        };
        if wished == network.bridge_mac && wish != MacWish::FromAddress {
            let owner = format!("the bridge {}", network.bridge);
            return Err(Error::MacTaken { network: network.name.clone(), mac: wished, owner });
        }
        match self.store.mac_owner(&network.name, wished)? {
            Some(owner) if owner != endpoint.key() && !self.bury_if_dead(&owner)? => {
                if wish == MacWish::FromAddress {
                    // Somebody asked for exactly this one: the random one stays.
                    return Ok(());
                }
                let owner = self.owner_name(&owner)?;
                Err(Error::MacTaken { network: network.name.clone(), mac: wished, owner })
            }
            _ => {
                endpoint.mac = wished;
                Ok(())
            }
        }
    }

    /// Families in which the sandbox has a default route that no endpoint of ours gave.
    fn foreign_defaults(
        &mut self,
        sandbox: &Resolved,
        endpoint: &Endpoint,
        siblings: &[Endpoint],
    ) -> Result<Vec<Family>, Error> {
        let place = Place::Sandbox(sandbox.reached_by.clone());
        let mut taken = Vec::new();
        for family in [Family::V4, Family::V6] {
            if endpoint.address(family).is_none() {
                continue;
            }
            let routes =
                self.kernel.routes(&place, family).map_err(Error::kernel(format!("sandbox {}", sandbox.spelled)))?;
            let gateways: Vec<IpAddr> = siblings.iter().filter_map(|s| s.address(family)).map(|a| a.gateway).collect();
            let foreign = routes.iter().any(|r| {
                r.to.prefix_len() == 0
                    && r.table == 254
                    && r.metric == 0
                    && !r.via.is_some_and(|v| gateways.contains(&v))
            });
            if foreign {
                taken.push(family);
            }
        }
        Ok(taken)
    }

    /// Writes the record, then takes the leases it names. When anything of it is taken, nothing is kept.
    fn claim(&mut self, network: &Network, endpoint: &Endpoint) -> Result<(), Error> {
        let key = endpoint.key();
        let claimed = (|| {
            let _leases = self.store.lock_leases(&network.name)?;
            self.store.begin_attach(endpoint)?;
            for a in &endpoint.addresses {
                let address = a.address.addr();
                if let zubi_store::Claim::Taken { owner } = self.store.claim(&network.name, address, &key)? {
                    let owner = self.owner_name(&owner)?;
                    return Err(Error::AddressTaken { network: network.name.clone(), address, owner });
                }
            }
            if let zubi_store::Claim::Taken { owner } = self.store.claim_mac(&network.name, endpoint.mac, &key)? {
                let owner = self.owner_name(&owner)?;
                return Err(Error::MacTaken { network: network.name.clone(), mac: endpoint.mac, owner });
            }
            for a in &endpoint.addresses {
                self.store.set_cursor(&network.name, a.address.addr())?;
            }
            self.store.write_name(endpoint)?;
            Ok(())
        })();
        if claimed.is_err() {
            Fault::muted(|| self.release(endpoint))?;
        }
        claimed
    }

    /// Frees what an endpoint holds in the store, its record last.
    pub(crate) fn release(&mut self, endpoint: &Endpoint) -> Result<(), Error> {
        let key = endpoint.key();
        for a in &endpoint.addresses {
            self.store.release(&endpoint.network, a.address.addr(), &key)?;
        }
        self.store.release_mac(&endpoint.network, endpoint.mac, &key)?;
        self.store.remove_name(endpoint)?;
        self.store.finish_detach(&key)?;
        Ok(())
    }

    /// What the owner of a lease is called.
    fn owner_name(&self, key: &EndpointKey) -> Result<String, Error> {
        let endpoint = match self.store.endpoint(key)? {
            Some(endpoint) => Some(endpoint),
            None => self.store.pending_endpoint(key)?,
        };
        Ok(endpoint.map_or_else(|| unknown_owner(key), |e| e.sandbox.spelled))
    }
}

/// Wishes that no state of the world could grant.
fn check_wishes(network: &Network, wishes: &Wishes) -> Result<(), Error> {
    let mut families = Vec::new();
    for address in &wishes.addresses {
        let family = Family::of(*address);
        let Some(pool) = network.pool(family) else {
            let why = format!("is {family}, which network {} does not have", network.name);
            return Err(Invalid::new("address", address, why).into());
        };
        if families.contains(&family) {
            return Err(Invalid::new("address", address, format!("is a second {family} address")).into());
        }
        families.push(family);
        check_fixed(pool, *address)?;
    }
    for route in &wishes.routes {
        let family = Family::of(route.to.addr());
        let Some(pool) = network.pool(family) else {
            let why = format!("is {family}, which network {} does not have", network.name);
            return Err(Invalid::new("route", route, why).into());
        };
        if let Some(via) = route.via
            && !pool.subnet.has_host(via)
        {
            let why = format!("has a next hop outside {}", pool.subnet);
            return Err(Invalid::new("route", route, why).into());
        }
    }
    Ok(())
}
