//! TODO

use crate::error::Error;
use crate::look::compare::differences;
use crate::look::sandbox::resolve;
use crate::problem::Problem;
use crate::session::Session;
use crate::steps::apply::apply;
use std::time::{Duration, Instant};
use zubi_kernel::Survey;
use zubi_model::{Endpoint, IfName, SandboxRef};
use zubi_plan::{Op, Place, Plan, What};
use zubi_wire::route::{LinkSeen, Uniqueness};

/// Changes something inside a sandbox, or nothing of it.
pub(crate) fn change_inside(
    session: &mut Session,
    sandbox: &SandboxRef,
    ops: Vec<What>,
    why: &'static str,
) -> Result<Plan, Error> {
    let resolved = resolve(session, sandbox)?;
    let plan: Plan = ops.into_iter().map(|what| Op::sandbox(&resolved.reached_by, what, why)).collect();
    apply(session, &format!("sandbox {}", resolved.spelled), &plan)?;
    Ok(plan)
}

/// What of it is not as it would be after [`Engine::change_inside`], in words.
pub(crate) fn compare_inside(
    session: &mut Session,
    sandbox: &SandboxRef,
    ops: Vec<What>,
) -> Result<Vec<Problem>, Error> {
    let resolved = resolve(session, sandbox)?;
    let ops: Vec<Op> = ops.into_iter().map(|what| Op::sandbox(&resolved.reached_by, what, "")).collect();
    differences(session, &mut Survey::narrow(), &format!("sandbox {}", resolved.spelled), &ops)
}

/// A device inside a sandbox.
pub(crate) fn device_inside(
    session: &mut Session,
    sandbox: &SandboxRef,
    ifname: &IfName,
) -> Result<Option<LinkSeen>, Error> {
    let resolved = resolve(session, sandbox)?;
    let place = Place::Sandbox(resolved.reached_by);
    session.kernel.link(&place, ifname.as_str()).map_err(Error::kernel(format!("sandbox {}", resolved.spelled)))
}

/// Waits until an endpoint's addresses can be used: those of IPv6 are looked for among the neighbours before, where
/// that was wished.
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
        // As long as the reference waits; what comes later is the device's.
        if own.all(|seen| seen.uniqueness == Uniqueness::Known) || since.elapsed() > Duration::from_secs(5) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
