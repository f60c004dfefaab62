//! What a person should know who adopts a bridge on which another program gives addresses.

use zubi_model::{Network, Pool};

/// For each range that zubi chooses addresses from, how the bridge's owner is kept out of it.
pub(crate) fn notes(network: &Network) -> Vec<String> {
    let device = network.device().as_str();
    let note = |pool: &Pool| {
        let range = pool.range?;
        let how = if device == "docker0" {
            "dockerd chooses outside of it with another \"fixed-cidr\" in /etc/docker/daemon.json".to_owned()
        } else if device.starts_with("br-") {
            "docker network create leaves it out with --ip-range for its own range, or --aux-address for single ones"
                .into()
        } else if device.starts_with("virbr") {
            "libvirt leaves it out with another <range> in virsh net-edit".into()
        } else {
            format!("whoever gives addresses on {device}, a DHCP server or a person, has to leave it out")
        };
        Some(format!("{range} is zubi's to give now: {how}"))
    };
    if network.owns_device() { Vec::new() } else { network.pools.iter().filter_map(note).collect() }
}
