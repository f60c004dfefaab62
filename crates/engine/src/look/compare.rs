//! Compares plans with a snapshot, and words the differences.

use crate::error::Error;
use crate::problem::{Problem, ProblemKind, REPAIR};
use crate::report::Compared;
use crate::session::Session;
use std::collections::HashSet;
use zubi_model::IfName;
use zubi_plan::firewall::sets;
use zubi_plan::{Op, Place, Plan};
use zubi_snapshot::{Finding, Needs, Snapshot, lacking};
use zubi_wire::nft::ElementSeen;
use zubi_wire::route::LinkSeen;

/// A snapshot for a command that looks at everything: the host's devices and addresses, and our table with all
/// elements. Sandboxes are read when they are needed.
pub(crate) fn whole_host(session: &mut Session) -> Result<Snapshot, Error> {
    let mut needs = Needs::new().links(&Place::Host).addresses(&Place::Host).layout().guest_rules();
    for set in sets() {
        needs = needs.elements(&set.name);
    }
    let mut snapshot = Snapshot::new();
    session.read(&mut snapshot, &needs, "the host")?;
    Ok(snapshot)
}

/// The operations of `ops` whose result is missing or differs; they repair it.
pub(crate) fn lacking_of(
    session: &mut Session,
    snapshot: &mut Snapshot,
    object: &str,
    ops: &[Op],
) -> Result<Vec<Op>, Error> {
    session.read(snapshot, &Needs::of(ops), object)?;
    lacking(ops, snapshot).map_err(Error::unread(object))
}

/// The results of `ops` that are missing or differ, as problems.
pub(crate) fn differences(
    session: &mut Session,
    snapshot: &mut Snapshot,
    object: &str,
    ops: &[Op],
) -> Result<Vec<Problem>, Error> {
    let compared = session.kernel.compare_in(snapshot, ops).map_err(Error::kernel(object))?;
    Ok(compared
        .into_iter()
        .filter_map(|(op, finding)| match finding {
            Finding::Same | Finding::NoState => None,
            Finding::Missing => Some(Problem::new(ProblemKind::Missing, object, format!("missing: {op}"), REPAIR)),
            Finding::Differs(how) => {
                Some(Problem::new(ProblemKind::Differs, object, format!("{how}; wanted: {op}"), REPAIR))
            }
        })
        .collect())
}

/// The operations of a plan that a person has to type on this host. Those that create the firewall layout are left out
/// when it exists.
pub(crate) fn to_type(session: &mut Session, plan: &Plan) -> Result<Plan, Error> {
    let afresh = plan.ops.iter().any(|op| matches!(op.what, zubi_plan::What::DeleteTable(_)));
    if afresh || !plan.ops.iter().any(Op::is_layout) {
        return Ok(plan.clone());
    }
    let stands = session.kernel.firewall().map_err(Error::kernel("firewall"))?.table.is_some();
    Ok(plan.ops.iter().filter(|op| !(stands && op.is_layout())).cloned().collect())
}

/// Compares a plan with the kernel.
pub(crate) fn compare_plan(session: &mut Session, plan: &Plan) -> Result<Vec<Compared>, Error> {
    session.kernel.compare(&plan.ops).map_err(Error::kernel("comparing with the kernel"))
}

/// A device of the host by name.
pub(crate) fn host_device(
    session: &mut Session,
    snapshot: &mut Snapshot,
    name: &IfName,
) -> Result<Option<LinkSeen>, Error> {
    let object = format!("device {name}");
    session.read(snapshot, &Needs::new().link(&Place::Host, name.as_str()), &object)?;
    Ok(snapshot.link(&Place::Host, name.as_str()).map_err(Error::unread(object))?.cloned())
}

/// All elements of one of our sets.
pub(crate) fn elements<'a>(
    session: &mut Session,
    snapshot: &'a mut Snapshot,
    set: &str,
) -> Result<&'a HashSet<ElementSeen>, Error> {
    session.read(snapshot, &Needs::new().elements(set), "firewall")?;
    snapshot.elements(set).map_err(Error::unread("firewall"))
}
