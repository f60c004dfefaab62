//! What the commands do, and which containers, hosts and networks reach each other.

mod addresses;
mod bad_input;
mod blue;
mod borrowed_rights;
mod coexistence;
mod escapes;
mod exit_codes;
mod features;
mod forwarding;
mod harms;
mod install;
mod link;
mod loopback;
mod lost_records;
mod many;
mod network_set;
mod output;
mod ports;
mod ports_attacks;
mod ports_bad_input;
mod ports_live;
mod reach;
mod repair;
mod sctp;
mod snapshot;
mod storage;
mod supervisor;

zubi_lab::test_files!(
    addresses,
    bad_input,
    borrowed_rights,
    coexistence,
    escapes,
    exit_codes,
    features,
    forwarding,
    harms,
    install,
    link,
    loopback,
    lost_records,
    many,
    network_set,
    output,
    ports,
    ports_attacks,
    ports_bad_input,
    ports_live,
    reach,
    repair,
    sctp,
    snapshot,
    storage,
    supervisor,
);
