//! Tests with real daemons and runtimes. They need root.

mod cni_clients;
mod coexistence_daemons;
mod coming_back;
mod containers;
mod docker_networks;
mod firewalld;
mod network_manager;
mod plugin;
mod podman;

zubi_lab::test_files!(
    cni_clients,
    coexistence_daemons,
    coming_back,
    containers,
    docker_networks,
    firewalld,
    network_manager,
    podman
);
