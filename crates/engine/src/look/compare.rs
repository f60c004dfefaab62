//! Comparing a plan with the kernel.

use crate::error::Error;
use crate::problem::{Problem, ProblemKind, REPAIR};
use crate::report::Compared;
use crate::session::Session;
use zubi_kernel::{Finding, Survey};
use zubi_plan::{Op, Plan};

pub(crate) fn differences(
    session: &mut Session,
    survey: &mut Survey,
    object: &str,
    ops: &[Op],
) -> Result<Vec<Problem>, Error> {
    let compared = session.kernel.examine_in(survey, ops).map_err(Error::kernel(object))?;
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

/// What of a plan is to be typed on this host: a firewall layout that stands must not be made twice.
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
    session.kernel.examine(&plan.ops).map_err(Error::kernel("comparing with the kernel"))
}
