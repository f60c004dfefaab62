//! What a person should know who takes a range where others give addresses too.

use zubi_model::{Network, Pool};

/// Programs that give addresses on bridges of their own: how such a bridge is called, and how its owner is kept out of a
/// range.
const OWNERS: [(&str, &str); 8] = [
    ("docker0", "dockerd chooses outside of it with another \"fixed-cidr\" in /etc/docker/daemon.json"),
    ("br-", "docker network create leaves it out with --ip-range for its own range, or --aux-address for single ones"),
    ("virbr", "libvirt leaves it out with another <range> in virsh net-edit"),
    ("podman", "podman network create leaves it out with --ip-range for its own range"),
    ("cni", "host-local leaves it out with another rangeStart and rangeEnd in the list in /etc/cni/net.d"),
    ("lxcbr", "lxc-net leaves it out with another LXC_DHCP_RANGE in /etc/default/lxc-net"),
    ("lxdbr", "lxc network set leaves it out with other ipv4.dhcp.ranges"),
    ("incusbr", "incus network set leaves it out with other ipv4.dhcp.ranges"),
];

/// For each range that zubi chooses addresses from, how the bridge's owner is kept out of it.
pub(crate) fn notes(network: &Network) -> Vec<String> {
    // On the bridge of a network card it is the LAN's addresses that matter.
    let device = network.parent().unwrap_or(network.device()).as_str();
    let how = OWNERS.iter().find(|(bridge, _)| device.starts_with(bridge)).map(|(_, how)| (*how).to_owned());
    let how = how.unwrap_or_else(|| {
        format!("whoever gives addresses on {device}, a DHCP server or a person, has to leave it out")
    });
    let note = |pool: &Pool| Some(format!("{} is zubi's to give now: {how}", pool.range?));
    // A subnet that the user gave to such a network is the range as a whole.
    let whole = |pool: &&Pool| network.bridge().is_none() && pool.range == Some(pool.subnet.net());
    if network.owns_device() && network.parent().is_none() {
        Vec::new()
    } else {
        network.pools.iter().filter(|pool| !whole(pool)).filter_map(note).collect()
    }
}
