//! Every call of the engine. The doors and the command line ask a session for these.

use crate::answer::bridge::{self, BridgeView, ForwardingView};
use crate::answer::device::{self, HostDevice};
use crate::answer::figures::{self, Figures};
use crate::answer::leases::{self, LeaseView};
use crate::answer::list::{self, EndpointView, LinkView, SandboxView};
use crate::answer::peer::{self, PeerView};
use crate::answer::{check, permanent, snapshot};
use crate::cleanup;
use crate::error::Error;
use crate::heal::object::{self, Object};
use crate::heal::tidings::{self, Healing};
use crate::heal::{gc, gone, leftovers, rebuild, repair, slow, unfinished_networks};
use crate::look::clock::nanoseconds;
use crate::look::unconfirmed::{self, Unconfirmed};
use crate::look::{by_name, compare, default_route, network_name};
use crate::perform::attach::{self, Attached};
use crate::perform::become_command::Program;
use crate::perform::come_back::{self, CameBack, Search};
use crate::perform::link::{self, Linked};
use crate::perform::publish::{self, Published};
use crate::perform::renew_lease;
use crate::perform::renewal::{RenewWishes, Renewed};
use crate::perform::run::{self, Ended, RunSpec, Started};
use crate::perform::set_network::{self, NetworkSet};
use crate::perform::unlink::{self, Unlinked};
use crate::perform::uplink::{self, TakeOver};
use crate::perform::{
    background, become_command, change_mac, create_network, described, detach, free_subnet, guest_network, hand_over,
    inside, remove_network, reserve, sandbox, unpublish,
};
use crate::problem::Problem;
use crate::report::{Act, Compared, Connected, Force, Report};
use crate::session::Session;
use crate::undo::endpoint::Detached;
use ipnet::IpNet;
use std::collections::HashSet;
use std::convert::Infallible;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;
use zubi_kernel::monitor::Tiding;
use zubi_model::{
    Description, Endpoint, EndpointAddress, EndpointId, Family, GuestNetwork, HostNetworking, Icc, IfName, Ingress,
    LinkEndRef, LinkWishes, Mac, Network, NetworkChange, NetworkId, NetworkName, NetworkSpec, Pool, PortSource,
    PortWish, Reservation, SandboxName, SandboxRef, Subnet, Wishes,
};
use zubi_plan::Plan;
use zubi_plan::device_settings::DeviceSettings;
use zubi_plan::permanent::Permanent;
use zubi_runtimes::EngineNetwork;
use zubi_snapshot::Snapshot;
use zubi_store::StoreError;

/// Connecting sandboxes to networks.
impl Session {
    /// Attaches a sandbox to a network. A second call with the same wishes returns the same answer.
    pub fn attach(
        &mut self,
        network: &NetworkName,
        sandbox: &SandboxRef,
        wishes: &Wishes,
        act: Act,
    ) -> Result<Report<Attached>, Error> {
        attach::connect(self, network, sandbox, wishes, act)
    }

    /// Attaches a sandbox to a network that the call describes. When that fails and the network has no other endpoints,
    /// the network is removed again.
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
        reserve::reserve_endpoint(self, network, id, wishes, &[])
    }

    /// The same, with the addresses that these owners have reserved. They have none afterwards.
    pub fn reserve_endpoint_instead(
        &mut self,
        network: &NetworkName,
        id: &EndpointId,
        wishes: &Wishes,
        owners: &[String],
    ) -> Result<Reservation, Error> {
        reserve::reserve_endpoint(self, network, id, wishes, owners)
    }

    /// The reservations on a network, oldest first.
    pub fn reservations(&self, network: &NetworkName) -> Result<Vec<Reservation>, Error> {
        reserve::reservations(self, network)
    }

    /// Makes the device of a reserved endpoint, which the program that runs the sandbox moves inside. `way`: where the
    /// sandbox's namespace will be. A second call returns the same device as long as it is still here.
    pub fn hand_over(&mut self, network: &NetworkName, id: &EndpointId, way: &Path) -> Result<Report<Endpoint>, Error> {
        hand_over::hand_over(self, network, id, way)
    }

    /// Removes the device of a handed over endpoint, wherever it is by now; the endpoint is reserved as before. It is a
    /// success when there was none.
    pub fn take_back(&mut self, network: &NetworkName, id: &EndpointId) -> Result<Report<Detached>, Error> {
        hand_over::take_back(self, network, id)
    }

    /// The handed over endpoint with this number.
    pub fn handed_over(&self, network: &NetworkName, id: &EndpointId) -> Result<Option<Endpoint>, Error> {
        hand_over::handed_over(self, network, id)
    }

    /// Whether the sandbox of a handed over endpoint has ended, and its device with it.
    pub fn has_handed_over_ended(&mut self, network: &NetworkName, id: &EndpointId) -> Result<bool, Error> {
        hand_over::has_ended(self, network, id)
    }

    /// Records what is known of a handed over endpoint once its device is inside the sandbox that its program calls so.
    pub fn arrive_handed_over(
        &mut self,
        network: &NetworkName,
        id: &EndpointId,
        called: &SandboxRef,
    ) -> Result<(), Error> {
        hand_over::arrive(self, network, id, called)
    }

    /// Releases a reserved endpoint. Refuses while a sandbox is attached by it, and succeeds if there is none.
    pub fn unreserve_endpoint(&mut self, network: &NetworkName, id: &EndpointId) -> Result<(), Error> {
        reserve::unreserve_endpoint(self, network, id)
    }

    /// Detaches a sandbox from a network. It is a success when there was nothing to detach.
    pub fn detach(&mut self, network: &NetworkName, sandbox: &SandboxRef, act: Act) -> Result<Report<Detached>, Error> {
        detach::disconnect(self, network, sandbox, act)
    }

    /// Attaches the followed sandboxes that are there again, and takes the endpoints of those that have ended away.
    pub fn come_back(&mut self, search: Search) -> Vec<CameBack> {
        come_back::come_back(self, search)
    }

    /// The other endpoints of the same sandbox.
    pub fn siblings(&self, endpoint: &Endpoint) -> Result<Vec<Endpoint>, Error> {
        default_route::siblings(self, endpoint)
    }
}

/// Leases of DHCP.
impl Session {
    /// All leases, by sandbox and age.
    pub fn leases(&self) -> Result<Vec<LeaseView>, Error> {
        leases::leases(self)
    }

    /// Renews the lease of one endpoint, if it is due or forced. One that is lost is replaced by a new one.
    pub fn renew_lease(
        &mut self,
        network: &NetworkName,
        sandbox: &SandboxRef,
        wishes: RenewWishes,
    ) -> Result<Renewed, Error> {
        renew_lease::renew_lease(self, network, sandbox, wishes)
    }

    /// Renews all leases that are due, or all when forced. Each has its own answer.
    pub fn renew_leases(&mut self, wishes: RenewWishes) -> Result<Vec<Result<Renewed, Error>>, Error> {
        renew_lease::renew_leases(self, wishes)
    }
}

/// Published ports.
impl Session {
    /// Publishes additional ports of a live endpoint. Its connections stay.
    pub fn publish(
        &mut self,
        network: &NetworkName,
        sandbox: &SandboxRef,
        wishes: &[PortWish],
        act: Act,
    ) -> Result<Report<Published>, Error> {
        publish::publish_ports(self, network, sandbox, wishes, act)
    }

    /// Withdraws published ports of a live endpoint and ends the connections that came through them.
    pub fn unpublish(
        &mut self,
        network: &NetworkName,
        sandbox: &SandboxRef,
        wishes: &[PortWish],
        act: Act,
    ) -> Result<Report<Published>, Error> {
        unpublish::unpublish_ports(self, network, sandbox, wishes, act)
    }

    /// Publishes ports of a handed over endpoint.
    pub fn publish_handed_over(
        &mut self,
        network: &NetworkName,
        id: &EndpointId,
        wishes: &[PortWish],
    ) -> Result<Report<Published>, Error> {
        publish::publish_handed_over(self, network, id, wishes)
    }

    /// Withdraws all ports of a handed over endpoint. It is a success when there is none.
    pub fn unpublish_handed_over(&mut self, network: &NetworkName, id: &EndpointId) -> Result<(), Error> {
        unpublish::unpublish_handed_over(self, network, id)
    }

    /// The endpoints that publish ports.
    pub fn published(&self) -> Result<Vec<Endpoint>, Error> {
        list::published_endpoints(self)
    }

    /// Publishes ports that the calling program may hold itself. Publishes nothing when another endpoint of the sandbox
    /// has these ports.
    pub fn publish_called(
        &mut self,
        network: &NetworkName,
        called: &str,
        wishes: &[PortWish],
        source: PortSource,
    ) -> Result<(), Error> {
        publish::publish_called(self, network, called, wishes, source)
    }

    /// Withdraws all published ports of an endpoint. The detached child deletes the kernel's entries for their
    /// connections. Also releases the ports of `wishes` that a killed command claimed but did not publish.
    pub fn unpublish_called(&mut self, network: &NetworkName, called: &str, wishes: &[PortWish]) -> Result<(), Error> {
        unpublish::unpublish_called(self, network, called, wishes)
    }

    /// Moves the ports of an endpoint that is gone to the next endpoint of its sandbox that can have them and that
    /// `takers` accepts.
    pub fn hand_over_ports(&mut self, from: &Endpoint, takers: &dyn Fn(&Endpoint) -> bool) -> Result<(), Error> {
        publish::hand_over_ports(self, from, takers)
    }
}

/// Networks.
impl Session {
    /// Creates a network.
    pub fn create_network(&mut self, spec: NetworkSpec, act: Act) -> Result<Report<Network>, Error> {
        if spec.driver.uplink().is_some() {
            return uplink::create_uplink(self, spec, &TakeOver::default(), act);
        }
        create_network::create_network(self, spec, act)
    }

    /// Creates a network whose bridge takes over a network card of the host.
    pub fn create_uplink(&mut self, spec: NetworkSpec, wishes: &TakeOver, act: Act) -> Result<Report<Network>, Error> {
        uplink::create_uplink(self, spec, wishes, act)
    }

    /// Confirms a network on the LAN: its card does not go back.
    pub fn confirm_network(&mut self, name: &NetworkName) -> Result<Network, Error> {
        uplink::confirm(self, name)
    }

    /// The files by which the host's own program makes the bridge of a network on the LAN at boot.
    pub fn permanent(&mut self, name: &NetworkName, program: HostNetworking) -> Result<Permanent, Error> {
        permanent::permanent(self, name, program)
    }

    /// Gives the card of an unconfirmed network back.
    pub fn roll_back_network(&mut self, name: &NetworkName) -> Result<Network, Error> {
        uplink::roll_back(self, name)
    }

    /// Gives the cards of networks back whose time to confirm is over.
    pub fn roll_back_overdue(&mut self) -> Result<(), Error> {
        unfinished_networks::recover_takeovers(self)
    }

    /// The networks that wait for their confirmation.
    pub fn unconfirmed_networks(&self) -> Result<Vec<Unconfirmed>, Error> {
        unconfirmed::all_unconfirmed(self)
    }

    /// Changes a network, its bridge and its endpoints. A change that is not possible is refused before anything is
    /// changed.
    pub fn set_network(
        &mut self,
        name: &NetworkName,
        wishes: &NetworkChange,
        act: Act,
    ) -> Result<Report<NetworkSet>, Error> {
        set_network::set_network(self, name, wishes, act)
    }

    /// Sets who can reach a described network.
    pub fn set_ingress(&mut self, name: &NetworkName, ingress: Ingress, icc: Option<Icc>) -> Result<(), Error> {
        set_network::set_ingress(self, name, ingress, icc)
    }

    /// Sets the servers that a described network asks about names elsewhere; none for the host's.
    pub fn set_name_servers(&mut self, name: &NetworkName, servers: &[IpAddr]) -> Result<(), Error> {
        set_network::set_name_servers(self, name, servers)
    }

    /// Removes a network. A missing one is an error, as with Docker.
    pub fn remove_network(&mut self, name: &NetworkName, connected: Connected, act: Act) -> Result<Report<()>, Error> {
        remove_network::remove_network(self, name, connected, act)
    }

    /// Removes every network without endpoints.
    pub fn prune_networks(&mut self, act: Act) -> Result<Report<Vec<NetworkName>>, Error> {
        remove_network::prune_networks(self, act)
    }

    /// Fails if a network that another program describes needs a network card that cannot carry it.
    pub fn require_card(&mut self, description: &Description) -> Result<(), Error> {
        described::require_card(self, description)
    }

    /// All networks that can be read, and the errors of those that cannot.
    pub fn networks(&self) -> (Vec<Network>, Vec<StoreError>) {
        list::networks(self)
    }

    /// A subnet that nothing on the host uses, beside those that were promised before. `name`: of what is to have it, for
    /// the error.
    pub fn free_subnet(&mut self, name: &NetworkName, family: Family, promised: &[IpNet]) -> Result<Subnet, Error> {
        free_subnet::free_subnet(self, name, family, promised)
    }

    /// The networks that a container engine has by way of zubi, as far as their records can be read.
    pub fn guest_networks(&self) -> Vec<GuestNetwork> {
        guest_network::guest_networks(self)
    }

    /// The one with the engine's number.
    pub fn guest_network(&self, id: &NetworkId) -> Result<Option<GuestNetwork>, Error> {
        guest_network::guest_network(self, id)
    }

    /// The time since the boot, by which records are dated.
    pub fn boot_clock(&self) -> Result<Duration, Error> {
        Ok(Duration::from_nanos(nanoseconds()?))
    }

    /// The zubi network that a name means. One that is in no record may be Docker's, who is asked.
    pub fn network_named(&mut self, name: &NetworkName) -> Result<NetworkName, Error> {
        network_name::network_named(self, name)
    }

    /// How Docker calls a network that it has, as far as that is known: `docker:NAME`.
    pub fn docker_name(&self, name: &NetworkName) -> Option<NetworkName> {
        network_name::called(self, name)
    }

    /// Docker's network with this name or id, as Docker describes it.
    pub fn docker_network(&self, name: &str) -> Result<Option<EngineNetwork>, Error> {
        Ok(self.runtimes().docker_network(name)?)
    }

    /// Records a network that a container engine has, or what changed of it.
    pub fn keep_guest_network(&mut self, guest: &GuestNetwork) -> Result<(), Error> {
        guest_network::keep_guest_network(self, guest)
    }

    /// Forgets one. Succeeds if there is none.
    pub fn forget_guest_network(&mut self, id: &NetworkId) -> Result<(), Error> {
        guest_network::forget_guest_network(self, id)
    }

    /// One network and its endpoints.
    pub fn network(&self, name: &NetworkName) -> Result<(Network, Vec<Endpoint>), Error> {
        list::network_and_endpoints(self, name)
    }
}

/// Direct links.
impl Session {
    /// Connects two sandboxes, or a sandbox and the host, by a direct link. A second call with the same wishes returns
    /// the same answer.
    pub fn link(&mut self, wishes: &LinkWishes, act: Act) -> Result<Report<Linked>, Error> {
        link::make_link(self, wishes, act)
    }

    /// Removes the link that has this end. It is a success when there is no such link.
    pub fn unlink(&mut self, end: &LinkEndRef, act: Act) -> Result<Report<Unlinked>, Error> {
        unlink::unlink(self, end, act)
    }

    /// The devices of the host.
    pub fn host_devices(&mut self) -> Result<Vec<HostDevice>, Error> {
        device::host_devices(self)
    }

    /// Whether Open vSwitch has a bridge of this name. One that does not run has none.
    pub fn is_ovs_bridge(&mut self, name: &IfName) -> Result<bool, Error> {
        device::is_ovs_bridge(self, name)
    }

    /// All links, oldest first.
    pub fn links(&mut self) -> Result<Vec<LinkView>, Error> {
        list::link_views(self)
    }
}

/// Sandboxes.
impl Session {
    /// Creates a named sandbox, or gives an existing namespace a name.
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

    /// Replaces this process by a command inside a sandbox. Returns only on failure.
    pub fn exec(&mut self, sandbox: &SandboxRef, command: &Program) -> Result<Infallible, Error> {
        sandbox::exec(self, sandbox, command)
    }

    /// Runs a command inside a sandbox in a child process. Returns its process number.
    pub fn exec_in_background(&mut self, sandbox: &SandboxRef, command: &Program) -> Result<u32, Error> {
        background::become_in_background(|| sandbox::exec(self, sandbox, command))
    }

    /// Replaces this process by a command in the host's own network. Returns only on failure.
    pub fn become_command(command: &Program) -> Error {
        become_command::become_command(command)
    }

    /// Runs a command in the host's own network in a child process. Returns its process number.
    pub fn become_command_in_background(command: &Program) -> Result<u32, Error> {
        background::become_in_background(|| Err(become_command::become_command(command)))
    }

    /// The plan of a `run`.
    pub fn plan_run(&mut self, spec: &RunSpec) -> Result<Plan, Error> {
        run::plan_run(self, spec)
    }

    /// Creates the sandbox and its endpoints. Before the first change it starts a guardian process, which cleans up
    /// should this one die.
    pub fn start_run(&mut self, spec: &RunSpec) -> Result<Report<Started>, Error> {
        run::start_run(self, spec)
    }

    /// Starts the command, waits until it ends, and cleans up. `ready` is called when the command runs, or with the
    /// error when it does not.
    pub fn supervise(
        self,
        started: Started,
        spec: &RunSpec,
        ready: impl FnOnce(Result<u32, &Error>),
    ) -> Result<Ended, Error> {
        run::supervise(self, started, spec, ready)
    }

    /// Supervises a run in a child process. Returns when the command runs, or with the error when it does not.
    pub fn supervise_in_background(self, started: Started, spec: &RunSpec) -> Result<SandboxName, Error> {
        background::supervise_in_background(self, started, spec)
    }
}

/// Listing.
impl Session {
    /// All endpoints, by sandbox and age.
    pub fn endpoints(&mut self) -> Result<Vec<EndpointView>, Error> {
        list::endpoints(self)
    }

    /// How much there is of everything, for those who watch over time.
    pub fn figures(&mut self) -> Result<Figures, Error> {
        figures::figures(self)
    }

    /// The id of the container that an endpoint's sandbox is, if it is one and its runtime knows it.
    pub fn container_id(&self, endpoint: &Endpoint) -> Option<String> {
        list::container_id(self, endpoint)
    }

    /// The bridges of the host, or one, whoever made them: their ports, and who is behind each port.
    pub fn bridges(&mut self, only: Option<&str>) -> Result<Vec<BridgeView>, Error> {
        bridge::bridges(self, only)
    }

    /// The forwarding entries of the host's bridges, or of one, and who is behind the port of each.
    pub fn forwarding(&mut self, only: Option<&str>) -> Result<Vec<ForwardingView>, Error> {
        bridge::forwarding(self, only)
    }

    /// The other end of a veth of the host, and who has it.
    pub fn peer(&mut self, device: &str) -> Result<PeerView, Error> {
        peer::peer(self, device)
    }

    /// The endpoint on a network of the sandbox that a program calls `called`, attached or half attached.
    pub fn endpoint_called(&self, network: &NetworkName, called: &str) -> Result<Option<Endpoint>, Error> {
        by_name::endpoint_called(self, network, called)
    }

    /// The endpoint on any network of the sandbox that a program calls `called`.
    pub fn endpoint_called_anywhere(&self, called: &str) -> Result<Option<Endpoint>, Error> {
        by_name::endpoint_called_anywhere(self, called)
    }

    /// The endpoints of all sandboxes whose name, as a program gives it, starts with `prefix`.
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

    /// Whether an endpoint's device or its sandbox still exists.
    pub fn is_alive(&mut self, endpoint: &Endpoint) -> Result<bool, Error> {
        gone::is_alive(self, endpoint)
    }

    /// The operations of a plan that a person has to type on this host. Those that create the firewall layout are left
    /// out when it exists.
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

    /// Every difference between the record of one endpoint and the kernel.
    pub fn check_called(&mut self, network: &NetworkName, called: &str) -> Result<Vec<Problem>, Error> {
        check::check_called(self, network, called)
    }

    /// Finishes or undoes interrupted commands, removes strays, and restores what is missing or changed. The report
    /// names each repair. An object that cannot be repaired does not stop the repair of the others.
    pub fn repair(&mut self, act: Act) -> Result<Report<Vec<String>>, Error> {
        repair::repair(self, act)
    }

    /// Repairs one object under its lock. The answer names each repair. An object without a record has nothing to
    /// repair.
    pub fn heal(&mut self, object: &Object) -> Result<Vec<String>, Error> {
        object::heal(self, object)
    }

    /// Repairs the objects that the kernel's tidings are about. Returns those that were changed, and those that cannot be
    /// repaired.
    pub fn heal_after(&mut self, tidings: &HashSet<Tiding>) -> Result<Vec<Healing>, Error> {
        tidings::heal_after(self, tidings)
    }

    /// The devices whose `route_localnet` has to be on: the kernel does not tell when it changes.
    pub fn devices_with_loopback(&self) -> Vec<IfName> {
        tidings::devices_with_loopback(self)
    }

    /// The kernel's state of this host, of the named sandboxes, and of the sandboxes that have an endpoint or a link.
    pub fn snapshot(&mut self) -> Result<Snapshot, Error> {
        snapshot::snapshot(self)
    }

    /// Makes lost records again from the devices that are in use. The answer says what was made, and which parts are
    /// lost.
    pub fn rebuild(&mut self, act: Act) -> Result<Report<Vec<String>>, Error> {
        rebuild::rebuild(self, act)
    }

    /// Removes all strays and leftovers; the answer names each. A dry run fills the plan as well. With `force`, devices
    /// that are in use but have no record are removed too.
    pub fn gc(&mut self, force: Force, act: Act) -> Result<Report<Vec<String>>, Error> {
        gc::gc(self, force, act)
    }

    /// Finishes or undoes the work of commands that were killed.
    pub fn finish_others(&mut self) -> Result<(), Error> {
        leftovers::finish_others(self)
    }

    /// Does the slow part of all pending deletions, and waits for it.
    pub fn finish_deletions(&mut self) -> Result<(), Error> {
        slow::finish_deletions(self)
    }

    /// Leaves the slow deletions to a detached child and returns at once. If no child can be started, the caller does
    /// them and waits.
    pub fn finish(self) -> Result<(), Error> {
        cleanup::finish(self)
    }
}

/// Devices inside sandboxes.
impl Session {
    /// Sets a sandbox's loopback device up.
    pub fn raise_loopback(&mut self, sandbox: &SandboxRef) -> Result<(), Error> {
        inside::raise_loopback(self, sandbox)
    }

    /// Whether a sandbox's loopback device is up.
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

    /// The settings of a device inside a sandbox that differ from these, as problems.
    pub fn compare_device(
        &mut self,
        sandbox: &SandboxRef,
        ifname: &IfName,
        settings: &DeviceSettings,
    ) -> Result<Vec<Problem>, Error> {
        inside::compare_device(self, sandbox, ifname, settings)
    }

    /// The settings of a device inside a sandbox; `None` if it has no device of that name.
    pub fn device_settings(&mut self, sandbox: &SandboxRef, ifname: &IfName) -> Result<Option<DeviceSettings>, Error> {
        inside::device_settings(self, sandbox, ifname)
    }

    /// Waits until an endpoint's addresses can be used. IPv6 addresses first go through duplicate address detection, if
    /// the wishes asked for it.
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
    /// Reserves one address out of each set of pools, either a wanted one or the next free one. Each comes with the
    /// gateway of its pool.
    pub fn reserve(
        &mut self,
        network: &NetworkName,
        owner: &str,
        sets: &[Vec<Pool>],
        wanted: &[IpAddr],
    ) -> Result<Vec<EndpointAddress>, Error> {
        reserve::reserve(self, network, owner, sets, wanted)
    }

    /// Releases the addresses of an owner. It is a success when the owner has none.
    pub fn unreserve(&mut self, network: &NetworkName, owner: &str) -> Result<(), Error> {
        reserve::unreserve(self, network, owner)
    }

    /// The owners of reserved addresses.
    pub fn reservers(&self, network: &NetworkName) -> Result<Vec<String>, Error> {
        reserve::reservers(self, network)
    }

    /// The addresses that an owner has reserved.
    pub fn reserved(&self, network: &NetworkName, owner: &str) -> Result<Vec<IpAddr>, Error> {
        reserve::reserved(self, network, owner)
    }

    /// Whether each set of pools has a free address for an endpoint of a network.
    pub fn has_room(&mut self, network: &NetworkName, sets: &[Vec<Pool>]) -> Result<(), Error> {
        reserve::has_room(self, network, sets)
    }
}
