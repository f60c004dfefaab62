//! Every call of the engine: what doors and the command line may ask a session for.

use crate::answer::list::{self, BridgeView, EndpointView, LinkView, SandboxView};
use crate::answer::{check, snapshot};
use crate::cleanup;
use crate::error::Error;
use crate::heal::object::{self, Object};
use crate::heal::{gc, gone, leftovers, rebuild, repair, slow};
use crate::look::{by_name, compare, default_route};
use crate::perform::attach::{self, Attached};
use crate::perform::link::{self, Linked};
use crate::perform::publish::{self, Published};
use crate::perform::run::{self, Ended, RunSpec, Started};
use crate::perform::set_network::{self, NetworkSet};
use crate::perform::unlink::{self, Unlinked};
use crate::perform::{
    background, become_command, change_mac, create_network, described, detach, inside, remove_network, reserve,
    sandbox, unpublish,
};
use crate::problem::Problem;
use crate::report::{Act, Compared, Force, Report};
use crate::session::Session;
use crate::undo::endpoint::Detached;
use std::convert::Infallible;
use std::ffi::OsString;
use std::net::IpAddr;
use zubi_model::{
    Description, Endpoint, EndpointAddress, EndpointId, Icc, IfName, Ingress, LinkEndRef, LinkWishes, Mac, Network,
    NetworkChange, NetworkName, NetworkSpec, Pool, PortSource, PortWish, Reservation, SandboxName, SandboxRef, Wishes,
};
use zubi_plan::Plan;
use zubi_plan::device_settings::DeviceSettings;
use zubi_snapshot::Snapshot;
use zubi_store::StoreError;

/// Connecting sandboxes to networks.
impl Session {
    /// Attaches a sandbox to a network. Attaching it again as it is gives the same answer.
    pub fn attach(
        &mut self,
        network: &NetworkName,
        sandbox: &SandboxRef,
        wishes: &Wishes,
        act: Act,
    ) -> Result<Report<Attached>, Error> {
        attach::connect(self, network, sandbox, wishes, act)
    }

    /// Attaches a sandbox to a network that is described with the call. When that fails, a network without endpoints is
    /// gone.
    pub fn attach_described(
        &mut self,
        description: &Description,
        sandbox: &SandboxRef,
        wishes: &Wishes,
    ) -> Result<Report<Attached>, Error> {
        described::attach_described(self, description, sandbox, wishes)
    }

    /// Reserves an endpoint before its sandbox exists: its number, addresses, MAC and names. An attach with
    /// [`Wishes::reservation`] takes them; when the endpoint is detached, it is reserved as before.
    pub fn reserve_endpoint(
        &mut self,
        network: &NetworkName,
        id: &EndpointId,
        wishes: &Wishes,
    ) -> Result<Reservation, Error> {
        reserve::reserve_endpoint(self, network, id, wishes)
    }

    /// Releases a reserved endpoint. Refuses while a sandbox is attached by it, and succeeds if there is none.
    pub fn unreserve_endpoint(&mut self, network: &NetworkName, id: &EndpointId) -> Result<(), Error> {
        reserve::unreserve_endpoint(self, network, id)
    }

    /// Detaches a sandbox from a network. What is gone already is a success.
    pub fn detach(&mut self, network: &NetworkName, sandbox: &SandboxRef, act: Act) -> Result<Report<Detached>, Error> {
        detach::disconnect(self, network, sandbox, act)
    }

    /// The other endpoints of the same sandbox.
    pub fn siblings(&self, endpoint: &Endpoint) -> Result<Vec<Endpoint>, Error> {
        default_route::siblings(self, endpoint)
    }
}

/// Published ports.
impl Session {
    /// Publishes further ports of a live endpoint, without touching its connections.
    pub fn publish(
        &mut self,
        network: &NetworkName,
        sandbox: &SandboxRef,
        wishes: &[PortWish],
        act: Act,
    ) -> Result<Report<Published>, Error> {
        publish::publish_ports(self, network, sandbox, wishes, act)
    }

    /// Takes published ports of a live endpoint back; connections that came by them end.
    pub fn unpublish(
        &mut self,
        network: &NetworkName,
        sandbox: &SandboxRef,
        wishes: &[PortWish],
        act: Act,
    ) -> Result<Report<Published>, Error> {
        unpublish::unpublish_ports(self, network, sandbox, wishes, act)
    }

    /// The endpoints that publish ports.
    pub fn published(&self) -> Result<Vec<Endpoint>, Error> {
        list::published_endpoints(self)
    }

    /// Publishes ports that the program may hold itself; none at all when others of the sandbox's endpoints have them.
    pub fn publish_called(
        &mut self,
        network: &NetworkName,
        called: &str,
        wishes: &[PortWish],
        source: PortSource,
    ) -> Result<(), Error> {
        publish::publish_called(self, network, called, wishes, source)
    }

    /// Takes all published ports of an endpoint back. What the kernel remembers of their connections is left to the
    /// detached child.
    /// Of those that are named also what a killed command has claimed and not come to publish is given back.
    pub fn unpublish_called(&mut self, network: &NetworkName, called: &str, wishes: &[PortWish]) -> Result<(), Error> {
        unpublish::unpublish_called(self, network, called, wishes)
    }

    /// Publishes the ports of an endpoint that has gone by the next one of its sandbox that can have them, and that is one of
    /// `takers`.
    pub fn hand_over_ports(&mut self, from: &Endpoint, takers: &dyn Fn(&Endpoint) -> bool) -> Result<(), Error> {
        publish::hand_over_ports(self, from, takers)
    }
}

/// Networks.
impl Session {
    /// Makes a network.
    pub fn create_network(&mut self, spec: NetworkSpec, act: Act) -> Result<Report<Network>, Error> {
        create_network::create_network(self, spec, act)
    }

    /// Changes a network, its bridge and its endpoints. What cannot be changed is refused before the first effect.
    pub fn set_network(
        &mut self,
        name: &NetworkName,
        wishes: &NetworkChange,
        act: Act,
    ) -> Result<Report<NetworkSet>, Error> {
        set_network::set_network(self, name, wishes, act)
    }

    /// Says who reaches a network that is described with every call.
    pub fn set_ingress(&mut self, name: &NetworkName, ingress: Ingress, icc: Option<Icc>) -> Result<(), Error> {
        set_network::set_ingress(self, name, ingress, icc)
    }

    /// Removes a network without endpoints. A missing one is an error, as with Docker.
    pub fn remove_network(&mut self, name: &NetworkName, act: Act) -> Result<Report<()>, Error> {
        remove_network::remove_network(self, name, act)
    }

    /// Removes every network without endpoints.
    pub fn prune_networks(&mut self, act: Act) -> Result<Report<Vec<NetworkName>>, Error> {
        remove_network::prune_networks(self, act)
    }

    /// All networks that can be read, and what is wrong with the others.
    pub fn networks(&self) -> (Vec<Network>, Vec<StoreError>) {
        list::networks(self)
    }

    /// One network and its endpoints.
    pub fn network(&self, name: &NetworkName) -> Result<(Network, Vec<Endpoint>), Error> {
        list::network_and_endpoints(self, name)
    }
}

/// Direct links.
impl Session {
    /// Wires two sandboxes, or one and the host. The same link again gives the same answer.
    pub fn link(&mut self, wishes: &LinkWishes, act: Act) -> Result<Report<Linked>, Error> {
        link::make_link(self, wishes, act)
    }

    /// Takes a link away by either of its ends. What is gone already is a success.
    pub fn unlink(&mut self, end: &LinkEndRef, act: Act) -> Result<Report<Unlinked>, Error> {
        unlink::unlink(self, end, act)
    }

    /// All links, oldest first.
    pub fn links(&mut self) -> Result<Vec<LinkView>, Error> {
        list::link_views(self)
    }
}

/// Sandboxes.
impl Session {
    /// Makes a named sandbox, or gives an existing namespace a name.
    pub fn add_sandbox(
        &mut self,
        name: &SandboxName,
        from: Option<&SandboxRef>,
        act: Act,
    ) -> Result<Report<()>, Error> {
        sandbox::add_sandbox(self, name, from, act)
    }

    /// Disconnects a named sandbox from everything and removes its name. `force` also ends the processes in it.
    pub fn remove_sandbox(&mut self, name: &SandboxName, force: Force, act: Act) -> Result<Report<()>, Error> {
        sandbox::remove_sandbox(self, name, force, act)
    }

    /// All named sandboxes.
    pub fn sandboxes(&mut self) -> Result<Vec<SandboxView>, Error> {
        list::sandboxes(self)
    }

    /// Becomes a command inside a sandbox. Returns only on failure.
    pub fn exec(&mut self, sandbox: &SandboxRef, command: &[OsString]) -> Result<Infallible, Error> {
        sandbox::exec(self, sandbox, command)
    }

    /// The same in a child: gives its process number.
    pub fn exec_in_background(&mut self, sandbox: &SandboxRef, command: &[OsString]) -> Result<u32, Error> {
        background::become_in_background(|| sandbox::exec(self, sandbox, command))
    }

    /// Becomes a command in the host's own network. Returns why it could not.
    pub fn become_command(command: &[OsString]) -> Error {
        become_command::become_command(command)
    }

    /// The same in a child: gives its process number.
    pub fn become_command_in_background(command: &[OsString]) -> Result<u32, Error> {
        background::become_in_background(|| Err(become_command::become_command(command)))
    }

    /// What `run` would do.
    pub fn plan_run(&mut self, spec: &RunSpec) -> Result<Plan, Error> {
        run::plan_run(self, spec)
    }

    /// Makes the sandbox and its endpoints. From its first effect on, a guardian watches.
    pub fn start_run(&mut self, spec: &RunSpec) -> Result<Report<Started>, Error> {
        run::start_run(self, spec)
    }

    /// Starts the command, waits for its end, cleans up. `ready` is told when it runs, or why it does not.
    pub fn supervise(
        self,
        started: Started,
        spec: &RunSpec,
        ready: impl FnOnce(Result<u32, &Error>),
    ) -> Result<Ended, Error> {
        run::supervise(self, started, spec, ready)
    }

    /// Supervises a run in a child. Returns when the command runs, or why it does not.
    pub fn supervise_in_background(self, started: Started, spec: &RunSpec) -> Result<SandboxName, Error> {
        background::supervise_in_background(self, started, spec)
    }
}

/// What there is.
impl Session {
    /// All endpoints, by sandbox and age.
    pub fn endpoints(&mut self) -> Result<Vec<EndpointView>, Error> {
        list::endpoints(self)
    }

    /// All bridges of the host with their ports, and who is behind each.
    pub fn bridges(&mut self) -> Result<Vec<BridgeView>, Error> {
        list::bridges(self)
    }

    /// The endpoint of a sandbox that a program calls so, attached or half attached.
    pub fn endpoint_called(&self, network: &NetworkName, called: &str) -> Result<Option<Endpoint>, Error> {
        by_name::endpoint_called(self, network, called)
    }

    /// The same, on whichever network.
    pub fn endpoint_called_anywhere(&self, called: &str) -> Result<Option<Endpoint>, Error> {
        by_name::endpoint_called_anywhere(self, called)
    }

    /// All endpoints of sandboxes that a program calls something that begins so.
    pub fn endpoints_with_prefix(&self, prefix: &str) -> Vec<Endpoint> {
        by_name::endpoints_with_prefix(self, prefix)
    }

    /// The endpoints of a sandbox.
    pub fn endpoints_in(&mut self, sandbox: &SandboxRef) -> Result<Vec<Endpoint>, Error> {
        by_name::endpoints_in(self, sandbox)
    }

    /// The MAC of a network's bridge.
    pub fn bridge_mac(&mut self, name: &NetworkName) -> Result<Mac, Error> {
        by_name::bridge_mac(self, name)
    }

    /// Whether an endpoint's device is there, or its sandbox.
    pub fn is_alive(&mut self, endpoint: &Endpoint) -> Result<bool, Error> {
        gone::is_alive(self, endpoint)
    }

    /// What of a plan is to be typed on this host: a firewall layout that stands must not be made twice.
    pub fn to_type(&mut self, plan: &Plan) -> Result<Plan, Error> {
        compare::to_type(self, plan)
    }

    /// Compares a plan with the kernel.
    pub fn compare(&mut self, plan: &Plan) -> Result<Vec<Compared>, Error> {
        compare::compare_plan(self, plan)
    }
}

/// Keeping records and kernel the same.
impl Session {
    /// Every difference between the records and the kernel.
    pub fn check(&mut self) -> Result<Vec<Problem>, Error> {
        check::check(self)
    }

    /// What is wrong with one endpoint.
    pub fn check_called(&mut self, network: &NetworkName, called: &str) -> Result<Vec<Problem>, Error> {
        check::check_called(self, network, called)
    }

    /// Finishes or undoes what was interrupted, removes what nobody owns, and puts back what is missing or changed.
    /// The report names each thing that was done. One object that cannot be repaired does not keep the others from it.
    pub fn repair(&mut self, act: Act) -> Result<Report<Vec<String>>, Error> {
        repair::repair(self, act)
    }

    /// Puts one object right under its lock. The answer names each thing that was done. An object without a record has
    /// nothing that could be put right.
    pub fn heal(&mut self, object: &Object) -> Result<Vec<String>, Error> {
        object::heal(self, object)
    }

    /// Everything that the kernel has of this host, of the sandboxes with an endpoint or a link, and of the named ones.
    pub fn snapshot(&mut self) -> Result<Snapshot, Error> {
        snapshot::snapshot(self)
    }

    /// Makes the records again of what lives. The answer says what was made, and what of it is lost.
    pub fn rebuild(&mut self, act: Act) -> Result<Report<Vec<String>>, Error> {
        rebuild::rebuild(self, act)
    }

    /// Removes everything that nobody owns; the answer names each thing. The plan is filled when it is only to be shown.
    /// With `force` also the devices that live and that no record names.
    pub fn gc(&mut self, force: Force, act: Act) -> Result<Report<Vec<String>>, Error> {
        gc::gc(self, force, act)
    }

    /// Finishes, or takes back, what commands that were killed left half done.
    pub fn finish_others(&mut self) -> Result<(), Error> {
        leftovers::finish_others(self)
    }

    /// Does the slow part of everything that was taken away, and waits for it.
    pub fn finish_deletions(&mut self) -> Result<(), Error> {
        slow::finish_deletions(self)
    }

    /// Leaves the doomed links to a detached child, and ends nothing and waits for nothing itself, unless there can be no
    /// child: then the caller waits.
    pub fn finish(self) -> Result<(), Error> {
        cleanup::finish(self)
    }
}

/// Devices inside sandboxes.
impl Session {
    /// Switches a sandbox's loopback device on.
    pub fn raise_loopback(&mut self, sandbox: &SandboxRef) -> Result<(), Error> {
        inside::raise_loopback(self, sandbox)
    }

    /// Whether a sandbox's loopback device is on.
    pub fn is_loopback_up(&mut self, sandbox: &SandboxRef) -> Result<bool, Error> {
        inside::is_loopback_up(self, sandbox)
    }

    /// Changes settings of a device inside a sandbox: all of them, or none.
    pub fn change_device(
        &mut self,
        sandbox: &SandboxRef,
        ifname: &IfName,
        settings: &DeviceSettings,
        why: &'static str,
    ) -> Result<(), Error> {
        inside::change_device(self, sandbox, ifname, settings, why)
    }

    /// The settings that differ, in words.
    pub fn compare_device(
        &mut self,
        sandbox: &SandboxRef,
        ifname: &IfName,
        settings: &DeviceSettings,
    ) -> Result<Vec<Problem>, Error> {
        inside::compare_device(self, sandbox, ifname, settings)
    }

    /// The settings of a device inside a sandbox, where there is one of that name.
    pub fn device_settings(&mut self, sandbox: &SandboxRef, ifname: &IfName) -> Result<Option<DeviceSettings>, Error> {
        inside::device_settings(self, sandbox, ifname)
    }

    /// Waits until an endpoint's addresses can be used: those of IPv6 are looked for among the neighbours before, where
    /// that was wished.
    pub fn await_addresses(&mut self, endpoint: &Endpoint) -> Result<(), Error> {
        inside::await_addresses(self, endpoint)
    }

    /// Gives the inner end of an endpoint another MAC.
    pub fn change_mac_called(&mut self, network: &NetworkName, called: &str, mac: Mac) -> Result<(), Error> {
        change_mac::change_mac_called(self, network, called, mac)
    }
}

/// Addresses for devices of other programs.
impl Session {
    /// One address out of each set of pools, with the gateway of its pool: those that are wanted, or the next free ones.
    pub fn reserve(
        &mut self,
        network: &NetworkName,
        owner: &str,
        sets: &[Vec<Pool>],
        wanted: &[IpAddr],
    ) -> Result<Vec<EndpointAddress>, Error> {
        reserve::reserve(self, network, owner, sets, wanted)
    }

    /// Gives back what somebody reserved; nothing is fine too.
    pub fn unreserve(&mut self, network: &NetworkName, owner: &str) -> Result<(), Error> {
        reserve::unreserve(self, network, owner)
    }

    /// Who has reserved something.
    pub fn reservers(&self, network: &NetworkName) -> Result<Vec<String>, Error> {
        reserve::reservers(self, network)
    }

    /// What somebody has reserved.
    pub fn reserved(&self, network: &NetworkName, owner: &str) -> Result<Vec<IpAddr>, Error> {
        reserve::reserved(self, network, owner)
    }

    /// Whether each set of pools has a free address for an endpoint of a network.
    pub fn has_room(&mut self, network: &NetworkName, sets: &[Vec<Pool>]) -> Result<(), Error> {
        reserve::has_room(self, network, sets)
    }
}
