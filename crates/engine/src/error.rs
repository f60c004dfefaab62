//! What goes wrong in the engine. An error names the object, the operation, the kernel's own words and the next step.

use crate::error_words::{how_many, how_many_devices, in_place_of_change, published, some_of, those_there};
use ipnet::IpNet;
use std::net::IpAddr;
use zubi_model::{
    EndpointId, EndpointKey, IfName, Invalid, Mac, NetworkName, NetworkSource, PublishedPort, SandboxName,
};

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value from outside.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// No such network.
    #[error("network {name} does not exist{}", those_there(known))]
    NoNetwork {
        /// The name.
        name: NetworkName,
        /// Those that do.
        known: Vec<NetworkName>,
    },
    /// A network of that name exists.
    #[error("network {name} exists already; zubi network inspect {name} shows it")]
    NetworkExists {
        /// The name.
        name: NetworkName,
    },
    /// A network that is in use.
    #[error("network {name}: {} still attached: {}; disconnect first", how_many(endpoints.len()), endpoints.join(", "))]
    NetworkInUse {
        /// The network.
        name: NetworkName,
        /// Its sandboxes.
        endpoints: Vec<String>,
    },
    /// What a network keeps as it is.
    #[error("network {name}: its {what} stays {has}{}", in_place_of_change(name, attached))]
    Fixed {
        /// The network.
        name: NetworkName,
        /// "subnet".
        what: &'static str,
        /// In words.
        has: String,
        /// The sandboxes that hold something of it.
        attached: Vec<String>,
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
    /// A device that has its addresses already.
    #[error("network {network}: {owner} has {} already", address.map_or_else(|| "addresses".to_owned(), |a| a.to_string()))]
    Reserved {
        /// The network.
        network: NetworkName,
        /// Whose the device is.
        owner: String,
        /// The first one.
        address: Option<std::net::IpAddr>,
    },
    /// What another program describes is changed there.
    #[error("network {name}: {by} describes it with every call; change it there")]
    Described {
        /// The network.
        name: NetworkName,
        /// Which program.
        by: NetworkSource,
    },
    /// A bridge that somebody else should have made.
    #[error("network {network}: bridge {bridge} does not exist")]
    NoBridge {
        /// The network.
        network: NetworkName,
        /// The bridge.
        bridge: IfName,
    },
    /// Internal or not is settled when endpoints are attached.
    #[error("network {name}: {} attached: {}; whether it is internal has decided about their default routes; disconnect first", how_many(attached.len()), attached.join(", "))]
    ScopeInUse {
        /// The network.
        name: NetworkName,
        /// Its sandboxes.
        attached: Vec<String>,
    },
    /// A subnet that something else has.
    #[error("network {name}: subnet {subnet} overlaps {by}; choose another or leave --subnet out")]
    Overlap {
        /// The network.
        name: NetworkName,
        /// As asked for.
        subnet: String,
        /// What has it.
        by: String,
    },
    /// No automatic subnet.
    #[error("network {name}: {error}")]
    NoSubnet {
        /// The network.
        name: NetworkName,
        /// What is in the way.
        error: zubi_ipam::NoPool,
    },
    /// No address is left.
    #[error("network {network}: {error}")]
    Exhausted {
        /// The network.
        network: NetworkName,
        /// In words.
        error: zubi_ipam::Exhausted,
    },
    /// Somebody has the address.
    #[error("network {network}: address {address} is taken by {owner}; choose another or leave --ip out")]
    AddressTaken {
        /// The network.
        network: NetworkName,
        /// As asked for.
        address: IpAddr,
        /// Whose it is.
        owner: String,
    },
    /// Somebody has the MAC.
    #[error("network {network}: MAC {mac} is taken by {owner}; choose another or leave --mac out")]
    MacTaken {
        /// The network.
        network: NetworkName,
        /// As asked for.
        mac: Mac,
        /// Whose it is.
        owner: String,
    },
    /// A device name inside the sandbox that is taken.
    #[error("sandbox {sandbox}: device {ifname} is there already{}; choose another with --ifname", by.as_ref().map(|b| format!(" ({b})")).unwrap_or_default())]
    DeviceTaken {
        /// The sandbox.
        sandbox: String,
        /// As asked for.
        ifname: String,
        /// Which network uses it.
        by: Option<String>,
    },
    /// A port that cannot be had.
    #[error("network {network}: publish {port} for {sandbox}: {by}; choose another host port")]
    PortTaken {
        /// The network.
        network: NetworkName,
        /// The sandbox.
        sandbox: String,
        /// As asked for.
        port: String,
        /// What is in the way.
        by: String,
    },
    /// A port that is not published.
    #[error("network {network}: {port} is not published for {sandbox}{}", published(there))]
    NotPublished {
        /// The network.
        network: NetworkName,
        /// The sandbox.
        sandbox: String,
        /// As asked for.
        port: String,
        /// What is.
        there: Vec<PublishedPort>,
    },
    /// A sandbox that is not on a network.
    #[error("{sandbox} is not on network {network}; zubi connect {network} {sandbox} brings it there")]
    NotConnected {
        /// The sandbox.
        sandbox: String,
        /// The network.
        network: NetworkName,
    },
    /// An endpoint that has lost its device.
    #[error(
        "{sandbox} on network {network} has lost its device, or its sandbox is gone; zubi repair puts back what can be"
    )]
    Broken {
        /// The sandbox.
        sandbox: String,
        /// The network.
        network: NetworkName,
    },
    /// A bridge without room.
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
    /// A device name that an end of a link cannot have.
    #[error("{end} is there already: {by}; choose another name")]
    EndTaken {
        /// As asked for.
        end: String,
        /// What has it.
        by: String,
    },
    /// An address that an end of a link cannot have.
    #[error("{end}: address {address} {by}; choose another")]
    LinkAddressTaken {
        /// The end.
        end: String,
        /// As asked for.
        address: IpNet,
        /// "is on eth0 already".
        by: String,
    },
    /// Linked already, but differently.
    #[error("link {link} is there already with other {what}: it has {has}; zubi link rm {end} takes it away")]
    LinkDiffers {
        /// The link.
        link: String,
        /// One of its ends.
        end: String,
        /// "addresses", "MTU".
        what: &'static str,
        /// In words.
        has: String,
    },
    /// Connected already, but differently.
    #[error("{sandbox} is on network {network} already with another {what}: it has {has}; disconnect it first")]
    Different {
        /// The sandbox.
        sandbox: String,
        /// The network.
        network: NetworkName,
        /// "address", "MAC"...
        what: &'static str,
        /// In words.
        has: String,
    },
    /// Nothing of that name.
    #[error("sandbox {name} does not exist: no named namespace, and no running container of that name{}", hint.as_ref().map(|h| format!("; {h}")).unwrap_or_default())]
    NoSandbox {
        /// As given.
        name: String,
        /// The next step.
        hint: Option<String>,
    },
    /// A name that means several things.
    #[error("sandbox {name} is ambiguous: {}; write one of these", candidates.join(", "))]
    Ambiguous {
        /// As given.
        name: String,
        /// All of them.
        candidates: Vec<String>,
    },
    /// A process that is not there.
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
    /// A sandbox that is in use.
    #[error("sandbox {name} {by}; {next}")]
    SandboxInUse {
        /// The name.
        name: SandboxName,
        /// By what.
        by: String,
        /// What to do.
        next: String,
    },
    /// Another command works on it right now.
    #[error("{object} is being changed by another command right now; try again")]
    Busy {
        /// What.
        object: String,
    },
    /// A runtime.
    #[error(transparent)]
    Runtime(#[from] zubi_runtimes::RuntimeError),
    /// A run folder without records of what lives.
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
    /// A table that has the name of ours.
    #[error(
        "{table}: a table of that name is there, and zubi did not make it; look at it (nft list {table}) and remove it (nft \
         delete {table})"
    )]
    ForeignTable {
        /// The table.
        table: String,
    },
    /// Another zubi on the same host.
    #[error(
        "another zubi, with the run folder {theirs}, has networks on this host ({network}, on {bridge}), and this one uses \
         {}; two would take each other's devices for leftovers: use that folder (--run-dir, ZUBI_RUN_DIR)",
        run.display()
    )]
    OtherInstance {
        /// The run folder of this one.
        run: std::path::PathBuf,
        /// That of the other one.
        theirs: String,
        /// A network of the other one.
        network: NetworkName,
        /// Its bridge.
        bridge: String,
    },
    /// A missing capability.
    #[error("no {}: run as root, or try everything without root in `zubi lab`", missing.join(" and no "))]
    Privilege {
        /// Their names.
        missing: Vec<&'static str>,
    },
    /// A path that leads to something else, or to the host.
    #[error(transparent)]
    NotASandbox(zubi_kernel::Error),
    /// The kernel.
    #[error("{object}: {source}")]
    Kernel {
        /// What was done, to what.
        object: String,
        /// The kernel's words.
        source: zubi_kernel::Error,
    },
    /// The kernel refused a step of a plan.
    #[error("{object}: {failed}")]
    Plan {
        /// What was done, to what.
        object: String,
        /// The failure and its undoing.
        failed: Box<zubi_kernel::Failed>,
    },
    /// Taking something down left something over.
    #[error("{object}: not everything could be taken down: {}; zubi gc tries again", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Leftover {
        /// What.
        object: String,
        /// What went wrong.
        errors: Vec<zubi_kernel::Error>,
    },
    /// What is recorded.
    #[error(transparent)]
    Store(#[from] zubi_store::StoreError),
    /// The settings file.
    #[error("settings file {path}: {why}")]
    Config {
        /// The file.
        path: String,
        /// Why not.
        why: String,
    },
    /// A program could not be run: this process did not become it.
    #[error("{program}: {source}")]
    Program {
        /// The program.
        program: String,
        /// Why not.
        source: std::io::Error,
    },
    /// An error of another process of ours, which had only a pipe to tell it.
    #[error("{words}")]
    Relayed {
        /// Its words.
        words: String,
        /// Its exit code.
        code: u8,
    },
    /// A name that led to a sandbox of zubi's and leads to another namespace now.
    #[error("sandbox {name}: the name leads to another network namespace now, which zubi did not make; {next}")]
    NameMoved {
        /// The name.
        name: SandboxName,
        /// What was done, and what to do.
        next: &'static str,
    },
    /// The answer could not be written. It is written last.
    #[error("write the answer to standard output: {source}; the command itself has done its work")]
    Output {
        /// Why not.
        source: std::io::Error,
    },
    /// Something failed, and so did taking back what had been done before.
    #[error("{cause}; and it could not all be undone: {undo}; zubi gc tries again")]
    Undo {
        /// What failed first. It decides about the class.
        cause: Box<Error>,
        /// What failed while undoing.
        undo: Box<Error>,
    },
}

impl Error {
    /// This error; and the one of the undoing as well, where that failed too.
    pub(crate) fn after_undo(self, undone: Result<(), Error>) -> Error {
        match undone {
            Ok(()) => self,
            Err(undo) => Error::Undo { cause: Box::new(self), undo: Box::new(undo) },
        }
    }

    /// Adds what was being done to a kernel error.
    pub(crate) fn kernel(object: impl Into<String>) -> impl FnOnce(zubi_kernel::Error) -> Error {
        let object = object.into();
        move |source| Error::Kernel { object, source }
    }

    /// A question about a part that the snapshot lacks.
    pub(crate) fn unread(object: impl Into<String>) -> impl FnOnce(zubi_snapshot::NotRead) -> Error {
        let object = object.into();
        move |source| Error::Kernel { object, source: source.into() }
    }

    /// A failed system call: what was being done, and the call with its object.
    pub(crate) fn system(
        object: &'static str,
        operation: &'static str,
        what: &'static str,
    ) -> impl FnOnce(std::io::Error) -> Error {
        move |e| Error::Kernel { object: object.into(), source: zubi_kernel::Error::system(operation, what, e) }
    }

    /// A folder of the user's that something could not be written to.
    pub fn writing(what: &str, folder: &std::path::Path, source: std::io::Error) -> Error {
        Error::Kernel {
            object: what.to_owned(),
            source: zubi_kernel::Error::system("write to", folder.display(), source),
        }
    }

    /// Whether something that was to be changed was not there any more.
    pub fn device_missing(&self) -> bool {
        matches!(self, Error::Plan { failed, .. } if failed.error.is_missing())
    }

    /// Whether the firewall table was found missing.
    pub(crate) fn layout_missing(&self) -> bool {
        matches!(self, Error::Plan { failed, .. } if matches!(failed.error, zubi_kernel::Error::LayoutMissing { .. }))
    }
}

/// How an endpoint's owner is called in an error when its record cannot be read.
pub(crate) fn unknown_owner(key: &EndpointKey) -> String {
    format!("sandbox {} (namespace cookie)", key.cookie)
}
