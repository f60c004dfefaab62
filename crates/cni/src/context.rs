//! What a plug-in's keys are read against.

use crate::runtime::Runtime;
use crate::version::Version;
use zubi_model::IfName;

/// The rest of a request: its version, its attachment, and what the runtime sets.
#[derive(Debug, Clone)]
pub(crate) struct Context<'a> {
    /// The version to answer in.
    pub version: Version,
    /// The network's name.
    pub network: &'a str,
    /// The container; `None` for GC and STATUS.
    pub container: Option<&'a str>,
    /// The device in the container; `None` for GC and STATUS.
    pub ifname: Option<IfName>,
    /// The keys that the runtime sets for this request.
    pub runtime: &'a Runtime<'a>,
}
