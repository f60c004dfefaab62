//! What a command asks of the kernel, compared with what it prints.

mod counts;
mod doors_traced;
mod dry_run;
mod equivalence;
mod heal;
mod identity;
mod reserved;
mod resident;
mod sessions;
mod strace;
mod traced;

zubi_lab::test_files!(counts, doors_traced, dry_run, equivalence, heal, identity, reserved, sessions, traced);
