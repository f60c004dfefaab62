//! The pages show what zubi does, name tests that exist, and lead to each other.

use crate::screens::{Fence, alike, page, root, screens, shows_what_happens};
use std::fs;
use std::path::Path;

const PAGES: [&str; 13] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs/tour.md",
    "docs/tutorials.md",
    "docs/guarantees.md",
    "docs/faq.md",
    "docs/benchmarks.md",
    "docs/cni.md",
    "docs/podman.md",
    "docs/names.md",
    "CHANGELOG.md",
    "crates/README.md",
];

fn the_tour_shows_what_happens() {
    shows_what_happens("docs/tour.md");
}

fn the_page_about_the_lan_shows_what_happens() {
    shows_what_happens("docs/lan.md");
}

fn the_tutorials_show_what_happens() {
    shows_what_happens("docs/tutorials.md");
}

fn a_wrong_screen_is_noticed() {
    let shown = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(alike(
        &shown("c1: eth0@7 10.55.66.2/24 5e:00:00:00:00:01\n..."),
        &["c1: eth0@2 10.55.66.2/24 aa:bb:cc:dd:ee:ff"]
    ));
    assert!(alike(&shown("64 bytes: time=0.06 ms\na ...\nc"), &["64 bytes: time=1.2 ms", "a b", "c"]));
    assert!(alike(&shown("blue  c84dc0e78824"), &["blue  0e1647256797"]));
    assert!(!alike(&shown("c1: eth0 10.55.66.2/24"), &["c1: eth0 10.55.66.3/24"]));
    assert!(!alike(&shown("10.55.66.2 02:42:0a:37:42:02"), &["10.55.66.2 02:42:0a:37:42:03"]));
    assert!(!alike(&shown("a"), &["a", "b"]));
    assert!(!alike(&shown("a\nb"), &["a"]));
}

/// Every `folder/file.rs::name` or `faults/cases/..::name` of the page, and whether it is there.
fn every_guarantee_names_tests_that_exist() {
    let text = page("docs/guarantees.md");
    let tests = root().join("crates/zubi/tests");
    let mut named = 0;
    let codes = text.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::"));
    for (file, test) in codes.filter(|(file, _)| file.contains('/')) {
        named += 1;
        let source = fs::read_to_string(tests.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let there = if Path::new(file).extension().is_some() {
            source.contains(&format!("fn {test}()"))
        } else {
            source.lines().any(|line| line.split_whitespace().any(|word| word.trim_end_matches(':') == test))
        };
        assert!(there, "{file} has no test {test}");
    }
    assert!(named > 20, "only {named} tests are named");
    for guarantee in text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| What")) {
        assert!(guarantee.contains("::"), "no test is named: {guarantee}");
    }
}

/// Links to files and headings; those to other sites are left alone.
fn links_of_the_pages_lead_somewhere() {
    for name in PAGES {
        let text = page(name);
        let folder = root().join(name).parent().expect("a folder").to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { root().join(name) } else { folder.join(file) };
            assert!(target.exists(), "{name}: {link}");
            if !heading.is_empty() {
                let target = fs::read_to_string(&target).unwrap_or_else(|e| panic!("{name}: {link}: {e}"));
                let headings = target.lines().filter(|line| line.starts_with('#')).map(anchor);
                assert!(headings.into_iter().any(|anchor| anchor == heading), "{name}: {link}: no such heading");
            }
        }
    }
}

/// The anchor of a heading.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn the_first_page_is_short() {
    let lines = page("README.md").lines().count();
    assert!(lines <= 150, "README.md has {lines} lines");
}

fn the_fifth_line_that_the_readme_types_pings_a_second_container() {
    let lines: Vec<String> = page("README.md").lines().map(str::to_owned).collect();
    let hosts = screens(&lines, Fence::Docker);
    let typed: Vec<&str> = hosts[0].iter().map(|screen| screen.command.as_str()).collect();
    assert!(typed[4].starts_with("docker exec web ping"), "{typed:?}");
}

zubi_lab::tests!(
    the_tour_shows_what_happens,
    the_page_about_the_lan_shows_what_happens,
    the_tutorials_show_what_happens,
    a_wrong_screen_is_noticed,
    every_guarantee_names_tests_that_exist,
    links_of_the_pages_lead_somewhere,
    the_first_page_is_short,
    the_fifth_line_that_the_readme_types_pings_a_second_container,
);
