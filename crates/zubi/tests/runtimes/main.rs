//! Tests with real daemons and runtimes. They need root.

mod cni_clients;
mod coexistence_daemons;
mod coming_back;
mod containers;
mod firewalld;
mod podman;

zubi_lab::test_files!(cni_clients, coexistence_daemons, coming_back, containers, firewalld, podman);
