//! `cargo xtask kernel-test [VERSION] [WORD..]`: tests of the program under another kernel.

use crate::error::Error;
use crate::kernel::OLDEST;
use crate::kernel_image::KernelImage;
use crate::machine::{Machine, PACKAGES, Size, quoted};
use crate::setup;
use crate::sum::Sum;
use crate::test::Run;
use crate::test_programs::TestProgram;
use std::io::{self, Write};
use std::time::Duration;

/// Words of test names that CI runs on the oldest kernel: everything known to differ between kernels, and a user's
/// first steps.
const SHORT: [&str; 56] = [
    "containers_of_one_network_reach_each_other_the_host_and_the_outside",
    "container_addresses_are_not_reachable_by_routing",
    "gateway_addresses_are_not_reachable_by_routing",
    "outside_sees_the_hosts_address_of_a_masqueraded_container",
    "outside_sees_the_own_address_of_a_container_that_is_not_masqueraded",
    "outside_cannot_connect_to_a_container_that_is_not_masqueraded",
    "networks_that_are_not_masqueraded_do_not_reach_each_other",
    "a_container_does_not_reach_the_gateway_of_another_network",
    "an_internal_network_has_no_way_out",
    "an_internal_network_has_no_way_in",
    "endpoints_without_icc_do_not_reach_each_other",
    "endpoints_without_icc_reach_the_host_and_the_outside",
    "nothing_leaves_from_an_address_that_was_not_given",
    "every_network_forwards_ipv6_not_only_the_first",
    "the_matrix_is_the_same_when_bridges_pass_frames_to_the_firewall",
    "a_container_answers_connections_that_the_host_opens",
    "a_container_that_routes_between_two_networks_reaches_both",
    "a_group_is_heard_by_those_who_joined_it",
    "published_ports_are_reached_from_everywhere",
    "published_ports_without_icc_are_reached_from_everywhere",
    "a_port_is_one_element_and_so_is_a_range_that_keeps_its_numbers",
    "a_port_of_one_host_address_is_not_reached_by_another",
    "docker_s_grammar_works_on_connect",
    "run_publishes_and_takes_back",
    "sctp_",
    "automatic_subnets_step_round_routes_of_the_main_table",
    "a_network_has_ipv4_or_ipv6_or_both",
    "an_exhausted_pool_frees_the_dead_by_itself",
    "gc_frees_the_address_of_a_killed_process",
    "after_a_reboot_every_address_is_free",
    "a_mac_like_those_of_host_ends_is_reached",
    "an_address_that_moved",
    "a_changed_mac_inside_is_found_and_repaired",
    "a_renamed_inner_device_is_found_and_repaired",
    "a_deleted_bridge_is_found_and_repaired",
    "a_deleted_host_end_is_found_and_repaired",
    "a_port_that_left_the_bridge_is_found_and_repaired",
    "a_bridge_that_is_down_is_found_and_repaired",
    "an_inner_end_that_is_down_is_found_and_repaired",
    "forwarding_switched_off_is_found_and_repaired",
    "ipv6_switched_off_inside_is_found_and_repaired",
    "a_flushed_table_is_found_and_repaired",
    "a_deleted_network_element_is_found_and_repaired",
    "an_isolated_port_that_was_opened_is_found_and_repaired",
    "a_removed_network_takes_the_last_table_with_it",
    "strays_with_our_mark_are_found_and_collected",
    "a_sandbox_that_is_removed_while_connected",
    "macvlan::a_container_is_on_the_lan_and_the_card_stays_as_it_is",
    "macvlan::what_is_changed_inside_is_found_and_put_right",
    "macvlan::a_vlan_",
    "cni_device::a_vlan_is",
    "ipvlan::a_container_is_on_the_lan",
    "ipvlan::a_routed_network",
    "uplink::a_container_is_on_the_lan_and_the_card_has_everything_back",
    "uplink::what_is_deleted_or_flushed_comes_back",
    "uplink::endpoints_are_in_a_vlan",
];
/// The limit for all tests under emulation.
const LIMIT: Duration = Duration::from_secs(3 * 3600);
/// The limit for CI's tests: four times what they take on two idle cores.
const SHORT_LIMIT: Duration = Duration::from_secs(40 * 60);

/// Runs the tests with any of these words in their names, or those of CI; the last line is the sum.
pub(crate) fn run(words: &[&str]) -> Result<(), Error> {
    let (version, words) = match words {
        [version, words @ ..] if version.starts_with(char::is_numeric) => (*version, words),
        words => (OLDEST, words),
    };
    let mut run = Run::bare()?;
    let machine = machine(version, LIMIT)?;
    on_machine(&mut run, &machine, if words.is_empty() { &SHORT } else { words })?;
    run.end()
}

/// Adds CI's part to a run; without an emulator its tests are skipped.
pub(crate) fn add_to(run: &mut Run) -> Result<(), Error> {
    match machine(OLDEST, SHORT_LIMIT) {
        Ok(machine) => on_machine(run, &machine, &SHORT),
        Err(why) => run.skip(&format!("tests on linux {OLDEST}: {why}")),
    }
}

fn machine(version: &str, limit: Duration) -> Result<Machine, Error> {
    setup::install(&PACKAGES)?;
    Machine::new(KernelImage::fetch(version)?, Size { limit, ..Size::default() })
}

fn on_machine(run: &mut Run, machine: &Machine, words: &[&str]) -> Result<(), Error> {
    let programs = TestProgram::build("zubi", words)?;
    let release = machine.release();
    println!("\ntests on linux {release}, emulated");
    // One after the other, also after a failure.
    let all: String = programs.iter().map(|program| line_for_shell(program, words)).collect();
    let mut sum = Sum::default();
    let mut ended = 0;
    let end = machine.run(&["sh", "-c", &all], |line| {
        if let Some(more) = Sum::read(&String::from_utf8_lossy(line)) {
            sum += more;
            ended += 1;
        }
        let mut out = io::stdout();
        out.write_all(line)?;
        out.flush()
    });
    run.add(sum);
    for line in machine.skipped()? {
        run.skip(&format!("linux {release}: {line}"))?;
    }
    if let Err(why) = end {
        run.broken(format!("linux {release}: {why}"));
    } else if ended < programs.len() {
        run.broken(format!("linux {release}: {} of {} test programs", programs.len() - ended, programs.len()));
    }
    Ok(())
}

fn line_for_shell(program: &TestProgram, words: &[&str]) -> String {
    let folder = quoted(&program.folder.to_string_lossy());
    let path = quoted(&program.path.to_string_lossy());
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("cd {folder} && {path} {}\n", words.join(" "))
}
