//! What the commands do, and who reaches whom.

mod addresses;
mod bad_input;
mod coexistence;
mod features;
mod link;
mod lost_records;
mod many;
mod network_set;
mod ports;
mod ports_attacks;
mod ports_bad_input;
mod ports_live;
mod reach;
mod repair;
mod storage;

zubi_lab::test_files!(
    addresses,
    bad_input,
    coexistence,
    features,
    link,
    lost_records,
    many,
    network_set,
    ports,
    ports_attacks,
    ports_bad_input,
    ports_live,
    reach,
    repair,
    storage,
);
