//! Errors of the engine. Each names the object, the operation, the kernel's own words and the next step.

use crate::error_words::{
    a_kind, how_many, how_many_devices, in_place_of_change, no_images, published, some_of, those_linked, those_named,
    those_there,
};
use ipnet::IpNet;
use std::net::IpAddr;
use zubi_model::{
    EndpointId, EndpointKey, IfName, Invalid, Mac, NetworkName, NetworkSource, PublishedPort, SandboxName,
};

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An invalid value from a user or another program.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A network does not exist.
    #[error("network {name} does not exist{}", those_there(known))]
    NoNetwork {
        /// The name.
        name: NetworkName,
        /// The networks that exist.
        known: Vec<NetworkName>,
    },
    /// A network of that name exists.
    #[error("network {name} exists already; zubi network inspect {name} shows it")]
    NetworkExists {
        /// The name.
        name: NetworkName,
    },
    /// A network is in use.
    #[error("network {name}: {} still attached: {}; disconnect first", how_many(endpoints.len()), endpoints.join(", "))]
    NetworkInUse {
        /// The network.
        name: NetworkName,
        /// Its sandboxes.
        endpoints: Vec<String>,
    },
    /// A network's device carries another network.
    #[error("network {name}: its device {device} carries network {other}; remove that first")]
    CarriesNetwork {
        /// The network.
        name: NetworkName,
        /// Its device.
        device: IfName,
        /// The other network.
        other: NetworkName,
    },
    /// The settings give the network `default` another address, and it is in use.
    #[error("network {name}: the settings (bip) want {wanted}, and {} still attached: {}; disconnect first", how_many(endpoints.len()), endpoints.join(", "))]
    DefaultInUse {
        /// The network.
        name: NetworkName,
        /// The subnet in the settings.
        wanted: String,
        /// Its sandboxes.
        endpoints: Vec<String>,
    },
    /// A bridge has an address that would go with it.
    #[error(
        "network {network}: {device} has the address {address}, which is not the network's and would go with it; move it first, or ip addr del {address} dev {device}"
    )]
    ForeignAddress {
        /// The network.
        network: NetworkName,
        /// Its bridge.
        device: IfName,
        /// The address.
        address: IpNet,
    },
    /// A property of a network that cannot be changed.
    #[error("network {name}: its {what} stays {has}{}", in_place_of_change(name, attached))]
    Fixed {
        /// The network.
        name: NetworkName,
        /// "subnet".
        what: &'static str,
        /// The present value, in words.
        has: String,
        /// The sandboxes with addresses or ports of the network.
        attached: Vec<String>,
    },
    /// Another program has attached the sandbox by a device that it moved inside itself.
    #[error(
        "network {network}: {sandbox} is attached to it already, by the engine that runs it; \
             docker network disconnect takes it off"
    )]
    HandedOver {
        /// The network.
        network: NetworkName,
        /// The sandbox.
        sandbox: String,
    },
    /// Another sandbox is attached by a reservation.
    #[error("network {network}: endpoint {} is attached to {sandbox}; disconnect that sandbox first", id.short())]
    ReservationInUse {
        /// The network.
        network: NetworkName,
        /// The number of the reserved endpoint.
        id: EndpointId,
        /// The sandbox that is attached by it.
        sandbox: String,
    },
    /// Nothing is reserved under a number.
    #[error("network {network} has no endpoint reserved as {}; reserve one first", id.short())]
    NoReservation {
        /// The network.
        network: NetworkName,
        /// The number.
        id: EndpointId,
    },
    /// The owner of a device has reserved addresses already.
    #[error("network {network}: {owner} has {} already", address.map_or_else(|| "addresses".to_owned(), |a| a.to_string()))]
    Reserved {
        /// The network.
        network: NetworkName,
        /// The owner of the device.
        owner: String,
        /// Its first address.
        address: Option<std::net::IpAddr>,
    },
    /// Another program describes the network, so zubi does not change it.
    #[error("network {name}: {by} describes it with every call; change it there")]
    Described {
        /// The network.
        name: NetworkName,
        /// The program.
        by: NetworkSource,
    },
    /// A network card cannot become a port of a network's bridge.
    #[error("network card {card}: {why}")]
    Card {
        /// The card.
        card: IfName,
        /// The reason, with the next step.
        why: String,
    },
    /// The bridge of a network with a card is there, and not the network's.
    #[error("network {network}: bridge {bridge} {why}")]
    BridgeOfHost {
        /// The network.
        network: NetworkName,
        /// Its bridge.
        bridge: IfName,
        /// Whose it is, or what it lacks.
        why: String,
    },
    /// A network is to be on the card of the host's default route, and there is none.
    #[error("network {network}: no network card is named, and this host has no default route that leads to one")]
    NoCard {
        /// The network.
        network: NetworkName,
    },
    /// A default route that an endpoint's is to take the place of could not come back later.
    #[error(
        "the sandbox's default route by {device} {why}, and zubi could not bring it back later; ip route del default \
         inside removes it"
    )]
    DefaultRouteStays {
        /// The device of the sandbox.
        device: String,
        /// What is the matter with it.
        why: String,
    },
    /// A network that took over a card is not confirmed yet.
    #[error(
        "network {name}: is not confirmed, and the card goes back in {left} s; zubi network confirm {name} keeps it"
    )]
    Unconfirmed {
        /// The network.
        name: NetworkName,
        /// The seconds that are left.
        left: u64,
    },
    /// There is nothing to confirm or to roll back.
    #[error("network {name}: {why}")]
    NothingToConfirm {
        /// The network.
        name: NetworkName,
        /// The reason, with the next step.
        why: String,
    },
    /// A neighbour answered before the bridge took the card over, and not after.
    #[error(
        "network {name}: {who} answered on {card} before and does not answer on the bridge; {card} has everything back"
    )]
    Silent {
        /// The network.
        name: NetworkName,
        /// The card.
        card: IfName,
        /// The neighbours that are silent.
        who: String,
    },
    /// A bridge that another program has to make does not exist.
    #[error("network {network}: bridge {bridge} does not exist")]
    NoBridge {
        /// The network.
        network: NetworkName,
        /// The bridge.
        bridge: IfName,
    },
    /// Open vSwitch has no bridge of that name.
    #[error("Open vSwitch has no bridge {bridge}{}; ovs-vsctl add-br {bridge} makes it", those_named(there))]
    NoOvsBridge {
        /// The bridge.
        bridge: IfName,
        /// The bridges that there are.
        there: Vec<String>,
    },
    /// A bridge of Open vSwitch cannot carry a network.
    #[error("bridge {bridge}: {why}")]
    OvsBridge {
        /// The bridge.
        bridge: IfName,
        /// The reason, with the next step.
        why: String,
    },
    /// The scope of a network cannot change while endpoints are attached.
    #[error("network {name}: {} attached: {}; whether it is internal has decided about their default routes; disconnect first", how_many(attached.len()), attached.join(", "))]
    ScopeInUse {
        /// The network.
        name: NetworkName,
        /// Its sandboxes.
        attached: Vec<String>,
    },
    /// A subnet overlaps one that is in use.
    #[error("network {name}: subnet {subnet} overlaps {by}; choose another or leave --subnet out")]
    Overlap {
        /// The network.
        name: NetworkName,
        /// The subnet that the user asked for.
        subnet: String,
        /// What uses the name.
        by: String,
    },
    /// No automatic subnet is free.
    #[error("network {name}: {error}")]
    NoSubnet {
        /// The network.
        name: NetworkName,
        /// The reason.
        error: zubi_ipam::NoPool,
    },
    /// No address is left.
    #[error("network {network}: {error}")]
    Exhausted {
        /// The network.
        network: NetworkName,
        /// The reason.
        error: zubi_ipam::Exhausted,
    },
    /// No DHCP server gives an address.
    #[error(
        "network {network}: {sandbox} gets no address: {why}; tcpdump -ni {device} 'port 67 or port 68' shows who says what, and --dhcp-timeout waits longer"
    )]
    NoLease {
        /// The network.
        network: NetworkName,
        /// The sandbox.
        sandbox: String,
        /// The network's device.
        device: IfName,
        /// What was in the way.
        why: String,
    },
    /// An endpoint has no lease to renew.
    #[error("{sandbox} on network {network} has no lease: zubi itself gave its address, and that lasts")]
    NoDhcp {
        /// The network.
        network: NetworkName,
        /// The sandbox.
        sandbox: String,
    },
    /// An address has to be asked for.
    #[error(
        "network {network}: {device} is {on}, where others give addresses of {subnet} too; choose one with --ip, or create the network with an --ip-range that is left to zubi"
    )]
    AddressWanted {
        /// The network.
        network: NetworkName,
        /// Its bridge.
        device: IfName,
        /// Whose it is, in words.
        on: &'static str,
        /// The subnet.
        subnet: IpNet,
    },
    /// An address is taken.
    #[error("network {network}: address {address} is taken by {owner}; choose another or leave --ip out")]
    AddressTaken {
        /// The network.
        network: NetworkName,
        /// The value that the user asked for.
        address: IpAddr,
        /// Whose it is.
        owner: String,
    },
    /// A MAC is taken.
    #[error("network {network}: MAC {mac} is taken by {owner}; choose another or leave --mac out")]
    MacTaken {
        /// The network.
        network: NetworkName,
        /// The value that the user asked for.
        mac: Mac,
        /// Whose it is.
        owner: String,
    },
    /// A device name inside the sandbox is taken.
    #[error("sandbox {sandbox}: device {ifname} is there already{}; choose another with --ifname", by.as_ref().map(|b| format!(" ({b})")).unwrap_or_default())]
    DeviceTaken {
        /// The sandbox.
        sandbox: String,
        /// The value that the user asked for.
        ifname: String,
        /// The owner of the name.
        by: Option<String>,
    },
    /// A port cannot be published.
    #[error("network {network}: publish {port} for {sandbox}: {by}; choose another host port")]
    PortTaken {
        /// The network.
        network: NetworkName,
        /// The sandbox.
        sandbox: String,
        /// The value that the user asked for.
        port: String,
        /// What has it.
        by: String,
    },
    /// A port is not published.
    #[error("network {network}: {port} is not published for {sandbox}{}", published(there))]
    NotPublished {
        /// The network.
        network: NetworkName,
        /// The sandbox.
        sandbox: String,
        /// The value that the user asked for.
        port: String,
        /// The ports that are.
        there: Vec<PublishedPort>,
    },
    /// No link has this end.
    #[error("no link has the end {end}{}", those_linked(known))]
    NoLink {
        /// The end as the user gave it.
        end: String,
        /// The ends that there are.
        known: Vec<String>,
    },
    /// A sandbox is not on a network.
    #[error("{sandbox} is not on network {network}; zubi connect {network} {sandbox} brings it there")]
    NotConnected {
        /// The sandbox.
        sandbox: String,
        /// The network.
        network: NetworkName,
    },
    /// An endpoint has lost its device.
    #[error(
        "{sandbox} on network {network} has lost its device, or its sandbox is gone; zubi repair puts back what can be"
    )]
    Broken {
        /// The sandbox.
        sandbox: String,
        /// The network.
        network: NetworkName,
    },
    /// A bridge has no room for another port.
    #[error(
        "network {network}: bridge {bridge} is full: zubi gives a bridge at most {most} ports (net.core.netdev_max_backlog), since with more the gateway's answers are lost; make another network"
    )]
    BridgeFull {
        /// The network.
        network: NetworkName,
        /// Its bridge.
        bridge: IfName,
        /// The limit.
        most: usize,
    },
    /// The device name of a link's end is taken.
    #[error("{end} is there already: {by}; choose another name")]
    EndTaken {
        /// The value that the user asked for.
        end: String,
        /// What has the name.
        by: String,
    },
    /// An end of a link cannot have an address.
    #[error("{end}: address {address} {by}; choose another")]
    LinkAddressTaken {
        /// The end.
        end: String,
        /// The value that the user asked for.
        address: IpNet,
        /// "is on eth0 already".
        by: String,
    },
    /// The link exists, with other properties.
    #[error("link {link} is there already with other {what}: it has {has}; zubi link rm {end} takes it away")]
    LinkDiffers {
        /// The link.
        link: String,
        /// One of its ends.
        end: String,
        /// "addresses", "MTU".
        what: &'static str,
        /// The present value, in words.
        has: String,
    },
    /// The sandbox is connected already, with other properties.
    #[error("{sandbox} is on network {network} already with another {what}: it has {has}; disconnect it first")]
    Different {
        /// The sandbox.
        sandbox: String,
        /// The network.
        network: NetworkName,
        /// "address", "MAC"...
        what: &'static str,
        /// The present value, in words.
        has: String,
    },
    /// A sandbox does not exist.
    #[error("sandbox {name} does not exist: no named namespace, and no running container of that name{}", hint.as_ref().map(|h| format!("; {h}")).unwrap_or_default())]
    NoSandbox {
        /// The name as the user gave it.
        name: String,
        /// The next step.
        hint: Option<String>,
    },
    /// A name has several meanings.
    #[error("sandbox {name} is ambiguous: {}; write one of these", candidates.join(", "))]
    Ambiguous {
        /// The name as the user gave it.
        name: String,
        /// The full names.
        candidates: Vec<String>,
    },
    /// The host has no such device.
    #[error("device {name} does not exist on this host")]
    NoDevice {
        /// The name as the user gave it.
        name: String,
    },
    /// A device of the host is of another kind than the command is about.
    #[error("device {name} is {}, not {wanted}", a_kind(kind.as_deref()))]
    OtherKind {
        /// Its name.
        name: String,
        /// Its kind, if the kernel names one.
        kind: Option<String>,
        /// "a bridge".
        wanted: &'static str,
    },
    /// A pair that somebody made cannot become an endpoint's.
    #[error("device {device} {why}; {next}")]
    NotTaken {
        /// The end on the host as the user named it.
        device: IfName,
        /// What speaks against it, as a verb phrase.
        why: String,
        /// The next step.
        next: String,
    },
    /// A process does not exist.
    #[error("process {pid} does not exist")]
    NoProcess {
        /// Its number.
        pid: u32,
    },
    /// A sandbox of that name exists.
    #[error("sandbox {name} exists already")]
    SandboxExists {
        /// The name.
        name: SandboxName,
    },
    /// A sandbox is in use.
    #[error("sandbox {name} {by}; {next}")]
    SandboxInUse {
        /// The name.
        name: SandboxName,
        /// The use, as a verb phrase.
        by: String,
        /// The next step.
        next: String,
    },
    /// Another command holds the lock.
    #[error("{object} is being changed by another command right now; try again")]
    Busy {
        /// The object.
        object: String,
    },
    /// An error of a container runtime.
    #[error(transparent)]
    Runtime(#[from] zubi_runtimes::RuntimeError),
    /// The run folder lacks records of devices that are in use.
    #[error(
        "the records in {} are lost, but not {} of zubi's: {}; zubi repair --rebuild makes the records again, zubi gc \
         --force removes the devices",
        run.display(),
        how_many_devices(living.len()),
        some_of(living)
    )]
    RecordsLost {
        /// The run folder.
        run: std::path::PathBuf,
        /// The devices, in words.
        living: Vec<String>,
    },
    /// A table of another program has the name of ours.
    #[error(
        "{table}: a table of that name is there, and zubi did not make it; look at it (nft list {table}) and remove it (nft \
         delete {table})"
    )]
    ForeignTable {
        /// The table.
        table: String,
    },
    /// Another zubi instance uses the same host.
    #[error(
        "another zubi, with the run folder {theirs}, has networks on this host ({network}, on {bridge}), and this one uses \
         {}; two would take each other's devices for leftovers: use that folder (--run-dir, ZUBI_RUN_DIR)",
        run.display()
    )]
    OtherInstance {
        /// The run folder of this one.
        run: std::path::PathBuf,
        /// The run folder of the other one.
        theirs: String,
        /// A network of the other one.
        network: NetworkName,
        /// Its bridge.
        bridge: String,
    },
    /// A capability is missing.
    #[error("no {}: run as root, or try everything without root in `zubi lab`", missing.join(" and no "))]
    Privilege {
        /// Their names.
        missing: Vec<&'static str>,
    },
    /// A path leads to no network namespace, or to the host's.
    #[error(transparent)]
    NotASandbox(zubi_kernel::Error),
    /// The kernel refused an operation.
    #[error("{object}: {source}")]
    Kernel {
        /// The operation and its object.
        object: String,
        /// The kernel's words.
        source: zubi_kernel::Error,
    },
    /// The kernel refused a step of a plan.
    #[error("{object}: {failed}")]
    Plan {
        /// The operation and its object.
        object: String,
        /// The failure and its rollback.
        failed: Box<zubi_kernel::Failed>,
    },
    /// A deletion was incomplete.
    #[error("{object}: not everything could be taken down: {}; zubi gc tries again", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Leftover {
        /// The object.
        object: String,
        /// The errors.
        errors: Vec<zubi_kernel::Error>,
    },
    /// An error of the store.
    #[error(transparent)]
    Store(#[from] zubi_store::StoreError),
    /// The settings file cannot be used.
    #[error("settings file {path}: {why}")]
    Config {
        /// The file.
        path: String,
        /// The reason.
        why: String,
    },
    /// A file is in the way of one that zubi would make or move.
    #[error("{}: {by}; {next}", path.display())]
    FileInTheWay {
        /// The file.
        path: std::path::PathBuf,
        /// What it is.
        by: String,
        /// The next step.
        next: String,
    },
    /// A file or folder does not exist.
    #[error("{what} does not exist; {next}")]
    NoFile {
        /// What was looked for, and where.
        what: String,
        /// The next step.
        next: &'static str,
    },
    /// The daemon does not answer.
    #[error("the daemon: ask: {source}")]
    Daemon {
        /// What the system says.
        source: std::io::Error,
    },
    /// A program could not be run.
    #[error("{program}: {source}{}", no_images(source))]
    Program {
        /// The program.
        program: String,
        /// The reason.
        source: std::io::Error,
    },
    /// An error with a next step that depends on what the user typed.
    #[error("{cause}; {advice}")]
    Advised {
        /// The error.
        cause: Box<Error>,
        /// "did you swap them?"
        advice: String,
    },
    /// An error that another zubi process sent through a pipe.
    #[error("{words}")]
    Relayed {
        /// Its words.
        words: String,
        /// Its exit code.
        code: u8,
    },
    /// A name led to a sandbox of zubi's and now leads to another namespace.
    #[error("sandbox {name}: the name leads to another network namespace now, which zubi did not make; {next}")]
    NameMoved {
        /// The name.
        name: SandboxName,
        /// What was done, and the next step.
        next: &'static str,
    },
    /// The answer could not be written. The work was done before that.
    #[error("write the answer to standard output: {source}; the command itself has done its work")]
    Output {
        /// The reason.
        source: std::io::Error,
    },
    /// A command failed, and undoing its work failed as well.
    #[error("{cause}; and it could not all be undone: {undo}; zubi gc tries again")]
    Undo {
        /// The first failure. It decides the class.
        cause: Box<Error>,
        /// The failure of the undo.
        undo: Box<Error>,
    },
}

impl Error {
    /// This error, joined with the error of the undo if that failed as well.
    pub(crate) fn after_undo(self, undone: Result<(), Error>) -> Error {
        match undone {
            Ok(()) => self,
            Err(undo) => Error::Undo { cause: Box::new(self), undo: Box::new(undo) },
        }
    }

    /// Adds the operation to a kernel error.
    pub(crate) fn kernel(object: impl Into<String>) -> impl FnOnce(zubi_kernel::Error) -> Error {
        let object = object.into();
        move |source| Error::Kernel { object, source }
    }

    /// An error for a part of the kernel's state that the snapshot does not hold.
    pub(crate) fn unread(object: impl Into<String>) -> impl FnOnce(zubi_snapshot::NotRead) -> Error {
        let object = object.into();
        move |source| Error::Kernel { object, source: source.into() }
    }

    /// An error for a failed system call: the operation, and the call with its object.
    pub(crate) fn system(
        object: &'static str,
        operation: &'static str,
        what: &'static str,
    ) -> impl FnOnce(std::io::Error) -> Error {
        move |e| Error::Kernel { object: object.into(), source: zubi_kernel::Error::system(operation, what, e) }
    }

    /// An error for a folder of the user's that cannot be written to.
    pub fn writing(what: &str, folder: &std::path::Path, source: std::io::Error) -> Error {
        Error::Kernel {
            object: what.to_owned(),
            source: zubi_kernel::Error::system("write to", folder.display(), source),
        }
    }

    /// Whether the plan failed because a device did not exist any more.
    pub fn device_missing(&self) -> bool {
        matches!(self, Error::Plan { failed, .. } if failed.error.is_missing())
    }

    /// Whether the plan failed because the firewall table was missing.
    pub(crate) fn layout_missing(&self) -> bool {
        matches!(self, Error::Plan { failed, .. } if matches!(failed.error, zubi_kernel::Error::LayoutMissing { .. }))
    }
}

/// How an error names the owner of an endpoint whose record cannot be read.
pub(crate) fn unknown_owner(key: &EndpointKey) -> String {
    format!("sandbox {} (namespace cookie)", key.cookie)
}
