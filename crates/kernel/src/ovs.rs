//! Ports of Open vSwitch bridges, by its database.

use crate::error::Error;
use crate::ovsdb::ask;
use crate::session::Session;
use crate::sys;
use std::time::{Duration, Instant};
use zubi_model::IfName;
use zubi_ovsdb::{Answer, Configuration, Port, PortSeen, Seen, read, read_configuration};
use zubi_plan::{Outcome, Place, What};

/// How long ovs-vswitchd may take to follow the database.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(1);
/// What ovs-vswitchd writes as the number of a port whose device it cannot use.
const UNUSABLE: i64 = -1;
/// The start of the keys of zubi's external ids.
const OURS: &str = "zubi-";

fn refused(object: &str, why: impl Into<String>) -> Error {
    Error::Ovs { object: object.to_owned(), why: why.into() }
}

/// The bridges, and one port or all.
pub(crate) fn look(port: Option<&str>) -> Result<Seen, Error> {
    const OBJECT: &str = "reading ports";
    match ask(OBJECT, &read(port))? {
        Ok(answer) => Ok(Seen::of(&answer)),
        Err(why) => Err(refused(OBJECT, format!("Open vSwitch: {why}"))),
    }
}

fn port_named(name: &IfName) -> Result<Option<PortSeen>, Error> {
    let mut ports = look(Some(name.as_str()))?.ports;
    Ok(ports.pop())
}

fn is_ours(seen: &PortSeen) -> bool {
    seen.columns.external_ids.keys().any(|key| key.starts_with(OURS))
}

/// Makes the port and waits until the bridge uses it.
pub(crate) fn add(port: &Port) -> Result<Outcome, Error> {
    let object = port.to_string();
    if let Some(seen) = port_named(&port.name)? {
        return match port.differs_from(&seen) {
            None => Ok(Outcome::AlreadyThere),
            Some(how) => Err(Error::Conflict { object, found: format!("a port of which Open vSwitch says: {how}") }),
        };
    }
    // An ovs-vswitchd that sees the deletion and the addition of a name at once goes on with the device that it has.
    let before = ask(&object, &read_configuration())?.map_err(|why| refused(&object, why.to_string()))?;
    await_switch(&object, &before)?;
    let answer = match ask(&object, &port.add())? {
        Ok(answer) => answer,
        Err(why) if why.operation == Some(Port::MISSING_BRIDGE) => {
            let bridge = &port.bridge;
            return Err(refused(&object, format!("Open vSwitch has no bridge {bridge}; ovs-vsctl add-br {bridge}")));
        }
        Err(why) => return Err(refused(&object, format!("Open vSwitch: {why}"))),
    };
    match await_switch(&object, &answer).and_then(|()| require_use(&object, &port.name)) {
        Ok(()) => Ok(Outcome::Created),
        // An operation that failed has changed nothing.
        Err(error) => match delete(&port.name) {
            Ok(_) => Err(error),
            Err(left) => Err(refused(&error.to_string(), format!("and the port is left: {left}"))),
        },
    }
}

/// Waits until ovs-vswitchd has applied what was in the database when it gave this answer.
fn await_switch(object: &str, since: &Answer) -> Result<(), Error> {
    let until = Instant::now() + PATIENCE;
    let unknown = || refused(object, "Open vSwitch's database has no table Open_vSwitch; ovs-vsctl init makes it");
    let Configuration { wanted, mut applied } = Configuration::of(since).ok_or_else(unknown)?;
    while applied < wanted {
        if Instant::now() > until {
            let seconds = PATIENCE.as_secs();
            return Err(refused(
                object,
                format!("ovs-vswitchd has not looked at the port in {seconds} s; does it run?"),
            ));
        }
        std::thread::sleep(PAUSE);
        let answer = ask(object, &read_configuration())?.map_err(|why| refused(object, why.to_string()))?;
        applied = Configuration::of(&answer).ok_or_else(unknown)?.applied;
    }
    Ok(())
}

fn require_use(object: &str, name: &IfName) -> Result<(), Error> {
    let seen = port_named(name)?.ok_or_else(|| refused(object, "another program deleted the port at once"))?;
    match seen.number {
        Some(number) if number != UNUSABLE => Ok(()),
        _ => {
            let why = seen.error.unwrap_or_else(|| "it does not say why".into());
            Err(refused(object, format!("Open vSwitch cannot use the port: {why}")))
        }
    }
}

/// Changes the port's columns, and waits until the bridge follows.
pub(crate) fn set(port: &Port) -> Result<Outcome, Error> {
    let object = port.change();
    let Some(before) = port_named(&port.name)? else {
        return Err(refused(&object, format!("Open vSwitch has no port {}", port.name)));
    };
    let answer = ask(&object, &port.set())?.map_err(|why| refused(&object, format!("Open vSwitch: {why}")))?;
    // An ovs-vswitchd that does not run follows when it starts.
    let _followed = await_switch(&object, &answer);
    Ok(Outcome::Changed { back: Box::new(What::SetOvsPort(Port { columns: before.columns, ..port.clone() })) })
}

/// Deletes the port, unless it is another program's.
pub(crate) fn delete(name: &IfName) -> Result<Outcome, Error> {
    let Some(seen) = port_named(name)?.filter(is_ours) else { return Ok(Outcome::Nothing) };
    match ask(&format!("port {name}"), &zubi_ovsdb::delete(&seen))? {
        Ok(answer) if answer.count(0) == 0 => Ok(Outcome::Nothing),
        Ok(_) => Ok(Outcome::Removed),
        Err(why) => Err(refused(&format!("port {name}"), format!("Open vSwitch: {why}"))),
    }
}

impl Session {
    /// The bridges of Open vSwitch, and all ports.
    pub fn ovs(&self) -> Result<Seen, Error> {
        look(None)
    }

    /// The bridges of Open vSwitch.
    pub fn ovs_bridges(&self) -> Result<Seen, Error> {
        // No device has an empty name.
        look(Some(""))
    }

    /// Whether anybody has started Open vSwitch here.
    pub fn has_ovs(&self) -> bool {
        crate::ovsdb::socket().exists()
    }

    /// Makes a device compute the checksums of its frames itself (`ethtool -K DEVICE tx off`).
    pub(crate) fn sum_up_frames(&mut self, place: &Place, device: &IfName) -> Result<Outcome, Error> {
        let switched = self.within(place, || sys::sum_up_frames(device.as_str()))?;
        switched.map(|()| Outcome::Created).map_err(|e| Error::system("ethtool -K .. tx off", device, e))
    }
}
