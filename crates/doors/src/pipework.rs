//! pipework: the command line of a shell script of 2014.
//!
//! # How it works
//! Each interface of the host is a described network, `pipework:DEVICE`: the first call makes it, and it goes with its last
//! guest. Guests whose address a DHCP server gives are on a network beside it, `pipework:DEVICE.dhcp`: one network has one
//! way to addresses. What the script would not repeat is a success when it is there already, `zubi ls` shows it, and
//! `zubi disconnect pipework:DEVICE GUEST` undoes it.

use crate::answer::tell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;
use zubi_engine::{Config, EndpointView, Engine, LostRecords, Program, Session};
use zubi_model::{
    Addressing, BridgeDescription, Broadcasts, CardMode, DefaultRoute, Description, DriverDescription, Egress,
    EndpointAddress, ForeignBridge, Hairpin, HostDeviceDescription, IfName, Ingress, Invalid, Ipam, Mac, MacWish,
    MacvlanDescription, Mtu, NetworkName, NetworkSource, OtherGateway, OvsDescription, PortVlans, Promiscuity,
    SandboxRef, Scope, WayOut, Wishes,
};
use zubi_pipework::{AddressWord, Attach, HostInterface, Request, Tool, parse};

/// How often `--wait` looks.
const LOOKS: Duration = Duration::from_millis(200);

/// Reads the command line, and does what it asks for.
pub(crate) fn answer() -> ExitCode {
    let words: Result<Vec<String>, OsString> = std::env::args_os().skip(1).map(OsString::into_string).collect();
    let done = match words {
        Ok(words) => parse(&words).map_err(|e| e.to_string()).and_then(|request| obey(&request)),
        Err(word) => Err(format!("the word {} is not in UTF-8", word.display())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            tell(&format!("pipework: {words}"));
            ExitCode::FAILURE
        }
    }
}

fn obey(request: &Request) -> Result<(), String> {
    match request {
        Request::Wait { ifname } => wait(ifname),
        Request::Run { tool, guest, words } => run(&mut session()?, *tool, guest, words),
        Request::Attach(attach) => plug(&mut session()?, attach),
    }
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn session() -> Result<Session, String> {
    let config = Config::read(&|name| std::env::var(name).ok(), None, None).map_err(words)?;
    Engine::open(config, LostRecords::Rebuild).and_then(|engine| engine.session()).map_err(words)
}

/// Inside a container: until somebody has plugged it in.
fn wait(ifname: &IfName) -> Result<(), String> {
    while !zubi_engine::carries_here(ifname).map_err(words)? {
        sleep(LOOKS);
    }
    Ok(())
}

fn run(session: &mut Session, tool: Tool, guest: &str, rest: &[String]) -> Result<(), String> {
    let guest: SandboxRef = guest.parse().map_err(words)?;
    let all = tool.program().iter().map(OsString::from).chain(rest.iter().map(OsString::from));
    let program = Program { words: all.collect(), ..Program::default() };
    program.look().map_err(words)?;
    match session.exec(&guest, &program) {
        Err(e) => Err(e.to_string()),
    }
}

fn plug(session: &mut Session, attach: &Attach) -> Result<(), String> {
    let sandbox: SandboxRef = attach.guest.parse().map_err(words)?;
    let description = describe(session, attach)?;
    let addressing = match &attach.address {
        AddressWord::None => Addressing::Given(Vec::new()),
        AddressWord::Given { address, gateway } => {
            Addressing::Given(vec![EndpointAddress { address: *address, gateway: *gateway }])
        }
        AddressWord::Dhcp { passed_over } => {
            if let Some(rest) = passed_over {
                tell(&format!("pipework: note: zubi asks the DHCP server itself, without the words {rest}"));
            }
            Addressing::Network
        }
    };
    // Servers know many guests by their MACs alone, so that one by DHCP has the MAC of its name.
    let mac = match (attach.mac, &attach.address) {
        (MacWish::Random, AddressWord::Dhcp { .. }) => MacWish::FromAddress,
        // A card has its own.
        (MacWish::Random, _) if matches!(description.driver, DriverDescription::HostDevice(_)) => MacWish::FromAddress,
        (mac, _) => mac,
    };
    let wishes = Wishes {
        addressing,
        ifname: Some(attach.ifname.clone()),
        // A macvlan has no end on the host, so `-l` has no meaning, as with the script.
        host_device: attach
            .local
            .clone()
            .filter(|_| matches!(description.driver, DriverDescription::Bridge(_) | DriverDescription::Ovs(_))),
        mac,
        default_route: match &attach.address {
            AddressWord::Given { gateway: Some(_), .. } => DefaultRoute::Replaces,
            AddressWord::Given { gateway: None, .. } | AddressWord::None | AddressWord::Dhcp { .. } => {
                DefaultRoute::Eligible
            }
        },
        ..Wishes::default()
    };
    session.attach_described(&description, &sandbox, &wishes).map_err(words)?;
    for note in session.take_notes() {
        tell(&format!("pipework: note: {note}"));
    }
    Ok(())
}

fn refused(what: &'static str, value: &str, why: &str) -> String {
    Invalid::new(what, value, why).to_string()
}

/// The network that the host's interface stands for.
fn describe(session: &mut Session, attach: &Attach) -> Result<Description, String> {
    let devices = session.host_devices().map_err(words)?;
    let (name, device) = match &attach.host {
        HostInterface::Named(name) => (name.clone(), devices.iter().find(|device| device.name == name.as_str())),
        HostInterface::WithMac(mac) => {
            let device =
                devices.iter().find(|device| device.mac == Some(*mac) && device.kind.as_deref() != Some("bridge"));
            match device {
                Some(device) => (device.name.parse().map_err(words)?, Some(device)),
                None => (inside_with(session, *mac)?, None),
            }
        }
    };
    let no = |why: &str| Err(refused("host interface", name.as_str(), why));
    let kind = device.map(|device| device.kind.as_deref());
    // The port of the host on such a bridge is a device of Open vSwitch's module, or a tun of ovs-vswitchd's own.
    let is_ovs = match kind {
        Some(Some("openvswitch" | "tun")) => session.is_ovs_bridge(&name).map_err(words)?,
        Some(_) => false,
        None => name.as_str().starts_with("ovs"),
    };
    if is_ovs {
        return on_ovs(attach, name);
    }
    match kind {
        Some(Some("bridge")) => {}
        // A card that is in a guest already is no device of the host.
        Some(_) | None if attach.direct => return whole(attach, name),
        Some(_) => {
            // As the script names it.
            let card = match attach.vlan {
                Some(vlan) => format!("{name}.{vlan}").parse().map_err(words)?,
                None => name,
            };
            let (parent, broadcasts) = (Some(card.clone()), Broadcasts::default());
            let macvlan = MacvlanDescription { parent, mode: CardMode::default(), broadcasts };
            return network(attach, card.as_str(), DriverDescription::Macvlan(macvlan), None);
        }
        None if name.as_str().starts_with("br") => {}
        None if name.as_str().starts_with("dummy") => return no("would be a dummy device: not yet"),
        None => return no("does not exist, and only names that begin with br are made, as bridges"),
    }
    if attach.vlan.is_some() {
        return no("is a bridge, and VLANs on bridges are not supported, as by the script");
    }
    let mtu = device.map(|device| device.mtu).filter(|mtu| *mtu != Mtu::STANDARD.bytes());
    let bridge = BridgeDescription {
        device: name.clone(),
        foreign: ForeignBridge::Adopted,
        icc: None,
        ingress: Some(Ingress::Open),
        hairpin: Hairpin::default(),
        promiscuity: Promiscuity::default(),
    };
    network(
        attach,
        name.as_str(),
        DriverDescription::Bridge(bridge),
        mtu.map(Mtu::try_from).transpose().map_err(words)?,
    )
}

/// The card with this MAC that is inside a guest.
fn inside_with(session: &mut Session, mac: Mac) -> Result<IfName, String> {
    let has_mac = |view: &EndpointView| view.endpoint.device.moved().is_some_and(|moved| moved.mac == Some(mac));
    let views = session.endpoints().map_err(words)?;
    let found = views.iter().find(|view| has_mac(view)).and_then(|view| view.endpoint.device.moved());
    let missing = || refused("host interface", &format!("mac:{mac}"), "does not exist");
    found.map(|moved| moved.name.clone()).ok_or_else(missing)
}

/// `--direct-phys`: the card itself goes into the guest, or its device for a VLAN.
fn whole(attach: &Attach, card: IfName) -> Result<Description, String> {
    if let Some(vlan) = attach.vlan {
        let mode = CardMode::Vlan(vlan.try_into().map_err(words)?);
        let name = format!("{card}.{vlan}");
        let macvlan = MacvlanDescription { parent: Some(card), mode, broadcasts: Broadcasts::default() };
        return network(attach, &name, DriverDescription::Macvlan(macvlan), None);
    }
    let name = card.to_string();
    let device = HostDeviceDescription { device: card, way_out: WayOut::Kept };
    network(attach, &name, DriverDescription::HostDevice(device), None)
}

/// Each VLAN of an Open vSwitch bridge is a network.
fn on_ovs(attach: &Attach, bridge: IfName) -> Result<Description, String> {
    let (words, vlans) = match attach.vlan {
        Some(vlan) => (format!("{bridge}.{vlan}"), PortVlans::Access(vlan.try_into().map_err(words)?)),
        None => (bridge.to_string(), PortVlans::All),
    };
    network(attach, &words, DriverDescription::Ovs(OvsDescription { bridge, vlans }), None)
}

/// The network has no subnets: each call brings its address along, or a server gives it.
fn network(attach: &Attach, device: &str, driver: DriverDescription, mtu: Option<Mtu>) -> Result<Description, String> {
    let (name, ipam) = match &attach.address {
        AddressWord::Dhcp { .. } => (format!("{device}.dhcp"), Ipam::Dhcp),
        AddressWord::None | AddressWord::Given { .. } => (device.to_owned(), Ipam::Pools),
    };
    Ok(Description {
        name: NetworkName::described(NetworkSource::Pipework, &name).map_err(words)?,
        id: None,
        driver,
        mtu,
        pools: Vec::new(),
        families: Vec::new(),
        scope: Scope::Routed,
        egress: Egress::Plain,
        ipam,
        naming: zubi_model::Naming::off(),
        other_gateway: OtherGateway::Refused,
        labels: BTreeMap::new(),
    })
}
