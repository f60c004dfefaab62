//! Commands that are killed, commands that fail, and commands that run at the same time as others.

mod case;
mod crowd;
mod dhcp_kills;
mod doors_faults;
mod faults;
mod interleave;
mod leftovers;
mod meeting;
mod run_kills;
mod uplink_kills;

zubi_lab::test_files!(crowd, dhcp_kills, doors_faults, faults, interleave, leftovers, run_kills, uplink_kills);
