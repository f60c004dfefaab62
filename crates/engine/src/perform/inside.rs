//! Devices inside a sandbox that another program made, or whose settings it has chosen.

use crate::error::Error;
use crate::look::compare::differences;
use crate::look::sandbox::resolve;
use crate::problem::Problem;
use crate::session::Session;
use crate::steps::apply::apply;
use std::time::{Duration, Instant};
use zubi_model::{Endpoint, IfName, SandboxRef};
use zubi_plan::device_settings::{DeviceSettings, raise_loopback as loopback_up};
use zubi_plan::{Op, Place, Plan, What};
use zubi_snapshot::Snapshot;
use zubi_wire::route::{AdminState, LinkSeen, Uniqueness};

/// The longest wait for an address, as in CNI's reference plug-in.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// Sets a sandbox's loopback device up.
pub(crate) fn raise_loopback(session: &mut Session, sandbox: &SandboxRef) -> Result<(), Error> {
    change(session, sandbox, vec![loopback_up()], "the loopback device")
}

/// Whether a sandbox's loopback device is up.
pub(crate) fn is_loopback_up(session: &mut Session, sandbox: &SandboxRef) -> Result<bool, Error> {
    Ok(device(session, sandbox, &IfName::loopback())?.is_some_and(|lo| lo.state == AdminState::Up))
}

/// Changes settings of a device inside a sandbox: all of them or none.
pub(crate) fn change_device(
    session: &mut Session,
    sandbox: &SandboxRef,
    ifname: &IfName,
    settings: &DeviceSettings,
    why: &'static str,
) -> Result<(), Error> {
    let ops = settings.operations(ifname);
    if ops.is_empty() { Ok(()) } else { change(session, sandbox, ops, why) }
}

/// Describes the settings that differ.
pub(crate) fn compare_device(
    session: &mut Session,
    sandbox: &SandboxRef,
    ifname: &IfName,
    settings: &DeviceSettings,
) -> Result<Vec<Problem>, Error> {
    let resolved = resolve(session, sandbox)?;
    let ops = settings.operations(ifname);
    let ops: Vec<Op> = ops.into_iter().map(|what| Op::sandbox(&resolved.reached_by, what, "")).collect();
    differences(session, &mut Snapshot::new(), &format!("sandbox {}", resolved.spelled), &ops)
}

/// The settings of a device inside a sandbox; `None` if there is no device of that name.
pub(crate) fn device_settings(
    session: &mut Session,
    sandbox: &SandboxRef,
    ifname: &IfName,
) -> Result<Option<DeviceSettings>, Error> {
    Ok(device(session, sandbox, ifname)?.as_ref().map(DeviceSettings::seen))
}

fn change(session: &mut Session, sandbox: &SandboxRef, ops: Vec<What>, why: &'static str) -> Result<(), Error> {
    let resolved = resolve(session, sandbox)?;
    let plan: Plan = ops.into_iter().map(|what| Op::sandbox(&resolved.reached_by, what, why)).collect();
    apply(session, &format!("sandbox {}", resolved.spelled), &plan)
}

fn device(session: &mut Session, sandbox: &SandboxRef, ifname: &IfName) -> Result<Option<LinkSeen>, Error> {
    let resolved = resolve(session, sandbox)?;
    let place = Place::Sandbox(resolved.reached_by);
    session.kernel.link(&place, ifname.as_str()).map_err(Error::kernel(format!("sandbox {}", resolved.spelled)))
}

/// Waits until an endpoint's addresses can be used. With duplicate address detection, the kernel first asks the
/// neighbours for the IPv6 addresses.
pub(crate) fn await_addresses(session: &mut Session, endpoint: &Endpoint) -> Result<(), Error> {
    let object = || format!("sandbox {}", endpoint.sandbox.spelled);
    let place = Place::Sandbox(endpoint.sandbox.reached_by.clone());
    let since = Instant::now();
    loop {
        let device = session.kernel.link(&place, endpoint.ifname.as_str()).map_err(Error::kernel(object()))?;
        let all = session.kernel.addresses(&place, device.map(|d| d.index)).map_err(Error::kernel(object()))?;
        let mut own = all.iter().filter(|seen| endpoint.addresses.iter().any(|a| a.address == seen.address));
        if let Some(seen) = own.clone().find(|seen| seen.uniqueness == Uniqueness::Duplicate) {
            let address = seen.address.addr();
            let owner = "a neighbour that answers for it".into();
            return Err(Error::AddressTaken { network: endpoint.network.clone(), address, owner });
        }
        if own.all(|seen| seen.uniqueness == Uniqueness::Known) || since.elapsed() > PATIENCE {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
}
