//! The daemon keeps the capabilities that it needs, and gives the others up (capabilities(7)).

use crate::error::Error;
use caps::{CapSet, Capability, CapsHashSet};
use std::io;

/// For devices, rules, port 53 and the kernel's messages of sandboxes; for namespaces of all users and their paths below
/// `/proc`; for files of other users.
const NEEDED: [Capability; 9] = [
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_RAW,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_NET_BROADCAST,
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_CHOWN,
    Capability::CAP_FOWNER,
];

/// Gives up what is not needed. The caller has one thread: capabilities belong to threads.
pub(crate) fn keep_needed() -> Result<(), Error> {
    let failed = |e: caps::errors::CapsError| Error::system("capabilities", "give up")(io::Error::other(e));
    let has = caps::read(None, CapSet::Permitted).map_err(failed)?;
    let kept: CapsHashSet = NEEDED.into_iter().filter(|capability| has.contains(capability)).collect();
    for set in [CapSet::Ambient, CapSet::Inheritable] {
        caps::clear(None, set).map_err(failed)?;
    }
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &kept).map_err(failed)?;
    }
    Ok(())
}
