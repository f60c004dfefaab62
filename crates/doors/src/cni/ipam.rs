//! Addresses from `host-local`, for our own devices and for those of other plug-ins.

use super::attachment::{cni_error, difference_found, netns};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use zubi_cni::{Attachment, CniError, CniResult, Code, Dns, Gc, Reserve, Status, Task, Wire, parse_resolv_conf};
use zubi_engine::{Error, Session};
use zubi_model::{Addressing, Exclusion, NetworkName, NetworkSource, Pool};

/// The folder in which the reference plug-in keeps its addresses.
const FOLDER: &str = "/var/lib/cni/networks";

/// Adds what the host's files say: name servers, and addresses that the reference plug-in has given to containers
/// before zubi was installed.
pub(super) fn prepared(mut wire: Wire, task: &Task) -> Result<Wire, CniError> {
    if let Some(path) = wire.resolv_conf.clone() {
        wire = wire.with_resolv_conf(&resolv_conf(&path)?);
    }
    let taken = of_before(&task.network, wire.data_dir.as_deref());
    if let Addressing::Sets(sets) = &mut wire.wishes.addressing {
        leave_out(sets, &taken);
    }
    Ok(wire)
}

fn resolv_conf(path: &Path) -> Result<String, CniError> {
    fs::read_to_string(path).map_err(|e| CniError::new(Code::Io, format!("resolvConf {}: {e}", path.display())))
}

fn leave_out(sets: &mut [Vec<Pool>], taken: &[IpAddr]) {
    for pool in sets.iter_mut().flatten() {
        let inside = taken.iter().filter(|address| pool.subnet.net().contains(*address));
        pool.exclude.extend(inside.map(|address| Exclusion { first: *address, last: *address }));
    }
}

/// The addresses that the reference plug-in has given since the last boot. Older ones belong to containers that are
/// gone.
fn of_before(network: &str, data_dir: Option<&Path>) -> Vec<IpAddr> {
    let Ok(entries) = fs::read_dir(folder(network, data_dir)) else { return Vec::new() };
    let boot =
        zubi_engine::boot_clock().ok().and_then(|since| SystemTime::now().checked_sub(Duration::from_nanos(since)));
    let of_this_boot = |entry: &fs::DirEntry| {
        let modified = entry.metadata().and_then(|m| m.modified()).ok();
        modified.zip(boot).is_none_or(|(modified, boot)| modified >= boot)
    };
    let entries = entries.filter_map(Result::ok).filter(of_this_boot);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn folder(network: &str, data_dir: Option<&Path>) -> PathBuf {
    data_dir.unwrap_or(Path::new(FOLDER)).join(network)
}

/// Releases the addresses that the reference plug-in has recorded for a container, from before zubi was installed.
pub(super) fn forget_foreign(task: &Task, data_dir: Option<&Path>) {
    forget(&task.network, data_dir, |container, ifname| {
        // Old versions of the plug-in do not record the device.
        container == task.container.as_str() && ifname.is_none_or(|ifname| ifname == task.ifname.as_str())
    });
}

/// Does the same for all containers that no longer exist.
pub(super) fn forget_foreign_but(gc: &Gc, valid: &[Attachment], data_dir: Option<&Path>) {
    forget(&gc.network, data_dir, |container, ifname| {
        let same = |a: &Attachment| a.container == container && ifname.is_none_or(|ifname| ifname == a.ifname);
        !container.is_empty() && !valid.iter().any(same)
    });
}

/// Removes the reference plug-in's files for containers that `is_dead` selects by container and device.
fn forget(network: &str, data_dir: Option<&Path>, is_dead: impl Fn(&str, Option<&str>) -> bool) {
    let Ok(entries) = fs::read_dir(folder(network, data_dir)) else { return };
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        let is_address = path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.parse::<IpAddr>().is_ok());
        let Some(text) = is_address.then(|| fs::read_to_string(&path).ok()).flatten() else { continue };
        let mut lines = text.lines().map(str::trim);
        if is_dead(lines.next().unwrap_or_default(), lines.next()) {
            fs::remove_file(&path).ok();
        }
    }
}

/// Checks that an address is free for one more container.
pub(super) fn status(
    session: &mut Session,
    status: &Status,
    sets: &[Vec<Pool>],
    data_dir: Option<&Path>,
) -> Result<(), CniError> {
    let mut sets = sets.to_vec();
    leave_out(&mut sets, &of_before(&status.network, data_dir));
    let network =
        NetworkName::described(NetworkSource::Cni, &status.network).map_err(Error::from).map_err(cni_error)?;
    session.has_room(&network, &sets).map_err(cni_error)
}

fn network(task: &Task) -> Result<NetworkName, CniError> {
    NetworkName::described(NetworkSource::Cni, &task.network).map_err(Error::from).map_err(cni_error)
}

fn owner(task: &Task) -> String {
    format!("{}@{}", task.container, task.ifname)
}

/// `host-local` alone, for a device that another plug-in makes.
pub(super) fn reserve(session: &mut Session, task: &Task, reserve: &Reserve) -> Result<CniResult, CniError> {
    netns(task)?;
    let dns = match &reserve.resolv_conf {
        Some(path) => parse_resolv_conf(&resolv_conf(path)?),
        None => Dns::default(),
    };
    let mut sets = reserve.sets.clone();
    leave_out(&mut sets, &of_before(&task.network, reserve.data_dir.as_deref()));
    let addresses = session.reserve(&network(task)?, &owner(task), &sets, &reserve.wanted).map_err(cni_error)?;
    Ok(reserve.result(&addresses, dns))
}

pub(super) fn unreserve(session: &mut Session, task: &Task, data_dir: Option<&Path>) -> Result<(), CniError> {
    session.unreserve(&network(task)?, &owner(task)).map_err(cni_error)?;
    forget_foreign(task, data_dir);
    Ok(())
}

pub(super) fn check(session: &mut Session, task: &Task) -> Result<(), CniError> {
    if session.reserved(&network(task)?, &owner(task)).map_err(cni_error)?.is_empty() {
        let why = format!("network {}: container {} has no address", task.network, task.container);
        return Err(CniError::new(difference_found(), why));
    }
    Ok(())
}
