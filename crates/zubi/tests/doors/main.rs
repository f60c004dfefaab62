//! The doors for other programs: CNI and netavark.

mod cni;
mod cni_allowlist;
mod cni_bad_input;
mod cni_chains;
mod cni_device;
mod cni_macvlan;
mod cni_options;
mod cni_ports;
mod cni_settings;
mod configs;
mod dhcp;
mod ipvlan;
mod isolation;
mod pipework;

zubi_lab::test_files!(
    cni,
    cni_allowlist,
    cni_bad_input,
    cni_chains,
    cni_device,
    cni_macvlan,
    cni_options,
    cni_ports,
    cni_settings,
    dhcp,
    ipvlan,
    isolation,
    pipework
);
