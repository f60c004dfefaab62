//! What the commands do, and which containers, hosts and networks reach each other.

mod addresses;
mod adopt;
mod bad_input;
mod blue;
mod borrowed_rights;
mod coexistence;
mod dhcp;
mod docker_habits;
mod endings;
mod escapes;
mod exit_codes;
mod features;
mod forwarding;
mod harms;
mod host_device;
mod host_lease;
mod install;
mod ipvlan;
mod lab;
mod link;
mod loopback;
mod lost_records;
mod machine;
mod macvlan;
mod many;
mod network_set;
mod output;
mod ovs;
mod owners;
mod persist;
mod ports;
mod ports_attacks;
mod ports_bad_input;
mod ports_live;
mod progress;
mod reach;
mod repair;
mod sctp;
mod settings;
mod slaac;
mod snapshot;
mod storage;
mod supervisor;
mod take_over;
mod uplink;

zubi_lab::test_files!(
    addresses,
    adopt,
    bad_input,
    borrowed_rights,
    coexistence,
    dhcp,
    docker_habits,
    endings,
    escapes,
    exit_codes,
    features,
    forwarding,
    harms,
    host_device,
    host_lease,
    install,
    ipvlan,
    lab,
    link,
    loopback,
    lost_records,
    machine,
    macvlan,
    many,
    network_set,
    output,
    ovs,
    owners,
    persist,
    ports,
    ports_attacks,
    ports_bad_input,
    ports_live,
    progress,
    reach,
    repair,
    sctp,
    settings,
    slaac,
    snapshot,
    storage,
    supervisor,
    take_over,
    uplink,
);
