//! GC: removes what belongs to attachments that the runtime does not list.

use super::attachment::{called_on_named, cni_error};
use super::{exec, ipam};
use std::io::Write;
use zubi_cni::{CniError, Gc, Ipam, Share};
use zubi_engine::{Act, Error, Session};
use zubi_model::{Endpoint, NetworkName, NetworkSource, SandboxRef};

pub(super) fn collect(session: &mut Session, gc: &Gc) -> Result<(), CniError> {
    let Some(valid) = &gc.valid else {
        // Some tools omit the list. That must not free all attachments.
        writeln!(std::io::stderr(), "the request has no cni.dev/valid-attachments: nothing was freed").ok();
        return Ok(());
    };
    let network = NetworkName::described(NetworkSource::Cni, &gc.network).map_err(Error::from).map_err(cni_error)?;
    let mut errors: Vec<CniError> = Vec::new();
    match &gc.share {
        Share::Wire(wire) => {
            for endpoint in attached(session, gc) {
                let lives = container(gc, &endpoint).is_some_and(|container| {
                    valid.iter().any(|a| a.container == container && a.ifname == endpoint.ifname.as_str())
                });
                if !lives {
                    let called = SandboxRef::Called(endpoint.sandbox.spelled.clone());
                    errors.extend(session.detach(&endpoint.network, &called, Act::Apply).err().map(cni_error));
                }
            }
            match &wire.ipam {
                Ipam::Exec(kind) => errors.extend(exec::gc(kind, gc).err()),
                Ipam::Ours => ipam::forget_foreign_but(gc, valid, wire.data_dir.as_deref()),
                Ipam::None => {}
            }
        }
        Share::Reserve(reserve) => {
            ipam::forget_foreign_but(gc, valid, reserve.data_dir.as_deref());
            for owner in session.reservers(&network).map_err(cni_error)? {
                let lives = valid.iter().any(|a| format!("{}@{}", a.container, a.ifname) == owner);
                if !lives {
                    errors.extend(session.unreserve(&network, &owner).err().map(cni_error));
                }
            }
        }
        // What these make goes with the device.
        Share::Loopback | Share::Fixed(_) | Share::Publish(_) | Share::IngressPolicy(_) | Share::Tune(_) => {}
    }
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.remove(0)),
        _ => {
            let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Err(CniError { msg: all.join("; "), ..errors.remove(0) })
        }
    }
}

/// The endpoints that this network's configuration made.
fn attached(session: &Session, gc: &Gc) -> Vec<Endpoint> {
    let mut all = session.endpoints_with_prefix("cni:");
    all.retain(|endpoint| container(gc, endpoint).is_some());
    all
}

/// The container of an endpoint, if this network's configuration made it.
fn container<'a>(gc: &Gc, endpoint: &'a Endpoint) -> Option<&'a str> {
    let spelled = endpoint.sandbox.spelled.as_str();
    if endpoint.network.as_str() == format!("cni:{}", gc.network) {
        return spelled.strip_prefix("cni:");
    }
    spelled.strip_prefix(called_on_named(&gc.network, "").as_str())
}
