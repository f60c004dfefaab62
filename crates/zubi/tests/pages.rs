//! The pages show what zubi does: their screens are typed on fresh hosts, and what is printed is compared.
//!
//! # How it works
//! A block fenced as `console` is a screen. `$ zubi lab` starts a fresh host; each line behind the prompt `lab# `, with
//! the lines behind `> ` that continue it, is given to a shell there, with the zubi under test first in PATH. What
//! follows up to the next prompt is what it should print. A shown line `...` stands for any number of lines, and ` ...`
//! at the end of a line for the rest of it. MACs made at random, names of devices made at random, interface numbers,
//! process ids and times are compared by their form only. A block with another fence, such as `sh`, is not run.
//!
//! `ZUBI_PAGES=update` writes what was printed into the pages, where it differs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use zubi_lab::{links, on_another_host};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const PROMPT: &str = "lab# ";
const MORE: &str = "> ";
const START: &str = "$ zubi lab";
/// What the shell prints behind each command.
const END: char = '\u{1e}';
const PAGES: [&str; 9] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs/tour.md",
    "docs/tutorials.md",
    "docs/guarantees.md",
    "docs/faq.md",
    "docs/benchmarks.md",
    "docs/cni.md",
];

// The screens

/// A command and the lines that the page shows behind it.
struct Screen {
    /// The line of the page with the prompt, from 0.
    at: usize,
    command: String,
    /// The lines of the page that show its output.
    shown: std::ops::Range<usize>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The screens of a page: one list for each fresh host.
fn screens(lines: &[String]) -> Vec<Vec<Screen>> {
    let mut hosts: Vec<Vec<Screen>> = Vec::new();
    let mut inside = false;
    let mut typing = false;
    for (at, line) in lines.iter().enumerate() {
        if line.starts_with("```") {
            inside = !inside && line == "```console";
            typing = false;
            continue;
        }
        if !inside {
            continue;
        }
        if line == START {
            hosts.push(Vec::new());
            typing = false;
        } else if let Some(command) = line.strip_prefix(PROMPT) {
            let host = hosts.last_mut().unwrap_or_else(|| panic!("line {}: no `{START}` before it", at + 1));
            host.push(Screen { at, command: command.to_owned(), shown: at + 1..at + 1 });
            typing = true;
        } else if let Some(screen) = hosts.last_mut().and_then(|host| host.last_mut()) {
            match line.strip_prefix(MORE) {
                Some(more) if typing => {
                    screen.command.push('\n');
                    screen.command.push_str(more);
                    screen.shown = at + 1..at + 1;
                }
                _ => {
                    typing = false;
                    screen.shown.end = at + 1;
                }
            }
        }
    }
    hosts
}

/// Types the commands on this host; returns what each printed, and [`END`] behind each.
fn type_all(host: &[Screen]) -> String {
    let bin = links(ZUBI, "/run/pages-bin", &["zubi"]);
    let path = std::env::var("PATH").unwrap_or_default();
    let script: String =
        host.iter().map(|screen| format!("{{ {}\n}} </dev/null 2>&1\nprintf '\\036'\n", screen.command)).collect();
    fs::create_dir("/run/work").expect("a folder to work in");
    fs::write("/run/pages.sh", script).expect("the script");
    let printed = fs::File::create("/run/pages.out").expect("a file for the output");
    let mut shell = Command::new("sh");
    shell.arg("/run/pages.sh").current_dir("/run/work").stdin(Stdio::null()).stdout(printed).stderr(Stdio::inherit());
    shell.env("PATH", format!("{}:{path}:/usr/sbin:/sbin", bin.display())).env("LC_ALL", "C");
    shell.env("ZUBI_STATE_DIR", "/run/zubi-state").env("ZUBI_RUN_DIR", "/run/zubi");
    shell.status().expect("sh");
    String::from_utf8_lossy(&fs::read("/run/pages.out").expect("the output")).into_owned()
}

/// Types the screens of a page and compares, or updates the page.
fn shows_what_happens(name: &str) {
    let lines: Vec<String> = page(name).lines().map(str::to_owned).collect();
    let hosts = screens(&lines);
    assert!(!hosts.is_empty(), "{name} has no screens");
    let mut wrong = Vec::new();
    for host in &hosts {
        let printed = on_another_host(|| type_all(host));
        let mut printed = printed.split(END);
        for screen in host {
            let text = printed.next().unwrap_or("the shell ended before this command");
            let printed: Vec<&str> = text.lines().collect();
            let shown = &lines[screen.shown.clone()];
            if !alike(shown, &printed) {
                wrong.push((screen, text.trim_end().to_owned()));
            }
        }
    }
    if std::env::var("ZUBI_PAGES").is_ok_and(|word| word == "update") {
        let mut lines = lines;
        for (screen, printed) in wrong.iter().rev() {
            lines.splice(screen.shown.clone(), printed.lines().map(|line| line.trim_end().to_owned()));
        }
        fs::write(root().join(name), lines.join("\n") + "\n").expect("the page");
        return;
    }
    let told = wrong.iter().map(|(screen, printed)| {
        let shown = lines[screen.shown.clone()].join("\n");
        format!("{name}:{}: {}\n--- shown\n{shown}\n--- printed\n{printed}\n", screen.at + 1, screen.command)
    });
    let told: Vec<String> = told.collect();
    assert!(told.is_empty(), "{}\nZUBI_PAGES=update puts in what is printed", told.join("\n"));
}

// What may differ

/// Whether these lines were printed, up to what differs from run to run.
fn alike(shown: &[String], printed: &[&str]) -> bool {
    let Some((first, rest)) = shown.split_first() else { return printed.is_empty() };
    if first == "..." {
        return (0..=printed.len()).any(|skipped| alike(rest, &printed[skipped..]));
    }
    let Some((line, others)) = printed.split_first() else { return false };
    let same = match first.strip_suffix(" ...") {
        Some(start) => normal(line).starts_with(&normal(start)),
        None => normal(line) == normal(first),
    };
    same && alike(rest, others)
}

/// The line without what differs from run to run.
fn normal(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut before = "";
    for word in line.split_whitespace() {
        let number = word.trim_end_matches([')', ',', ';']).parse::<f64>().is_ok();
        words.push(match before {
            "pid" | "(pid" | "link-netnsid" | "time" => format!("{before}'s"),
            "mdev" if word == "=" => "=".into(),
            _ if before == "=" && word.matches('/').count() == 3 => "times".into(),
            "" if word.ends_with(':') && word.trim_end_matches(':').parse::<u32>().is_ok() => "number:".into(),
            _ if number => word.into(),
            _ => normal_word(word),
        });
        before = word;
    }
    words.join(" ")
}

fn normal_word(word: &str) -> String {
    let mut text = String::new();
    let mut rest = word;
    while let Some(next) = rest.chars().next() {
        let hex = rest.chars().take_while(|c| matches!(c, '0'..='9' | 'a'..='f')).count();
        let digits = |from: &str| from.chars().take_while(char::is_ascii_digit).count();
        let device = ["zv", "zd"].iter().any(|mark| {
            rest.strip_prefix(mark).is_some_and(|tail| {
                tail.chars().take_while(|c| matches!(c, '0'..='9' | 'a'..='f')).count() == 10
            })
        });
        if device {
            text.push_str("zv..");
            rest = &rest[12..];
        } else if let Some(mac) = mac(rest) {
            // These follow from the address.
            text.push_str(if ["02:42:", "fe:42:"].iter().any(|start| mac.starts_with(start)) { mac } else { "MAC" });
            rest = &rest[17..];
        } else if hex >= 12 {
            text.push_str("id");
            rest = &rest[hex..];
        } else if let Some(tail) = rest.strip_prefix("fe80::") {
            text.push_str("fe80::");
            rest = tail.trim_start_matches(|c: char| c.is_ascii_hexdigit() || c == ':');
        } else if let Some(mark) = ["@if", "@", "at=", "time=", "cookie="]
            .into_iter()
            .find(|mark| rest.starts_with(mark) && digits(&rest[mark.len()..]) > 0)
        {
            text.push_str(mark);
            rest = rest[mark.len()..].trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        } else {
            text.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    text
}

/// The MAC that the text begins with.
fn mac(text: &str) -> Option<&str> {
    let start = text.get(..17)?;
    let is = |(at, c): (usize, char)| if at % 3 == 2 { c == ':' } else { c.is_ascii_hexdigit() };
    start.char_indices().all(is).then_some(start)
}

// The tests

fn the_tour_shows_what_happens() {
    shows_what_happens("docs/tour.md");
}

fn the_tutorials_show_what_happens() {
    shows_what_happens("docs/tutorials.md");
}

fn a_wrong_screen_is_noticed() {
    let shown = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(alike(&shown("c1: eth0@7 10.55.66.2/24 5e:00:00:00:00:01\n..."), &["c1: eth0@2 10.55.66.2/24 aa:bb:cc:dd:ee:ff"]));
    assert!(alike(&shown("64 bytes: time=0.06 ms\na ...\nc"), &["64 bytes: time=1.2 ms", "a b", "c"]));
    assert!(!alike(&shown("c1: eth0 10.55.66.2/24"), &["c1: eth0 10.55.66.3/24"]));
    assert!(!alike(&shown("02:42:0a:37:42:02"), &["02:42:0a:37:42:03"]));
    assert!(!alike(&shown("a"), &["a", "b"]));
    assert!(!alike(&shown("a\nb"), &["a"]));
}

/// Every `folder/file.rs::name` or `faults/cases/..::name` of the page, and whether it is there.
fn every_guarantee_names_tests_that_exist() {
    let text = page("docs/guarantees.md");
    let tests = root().join("crates/zubi/tests");
    let mut named = 0;
    for (file, test) in text.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::")) {
        named += 1;
        let source = fs::read_to_string(tests.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let there = if Path::new(file).extension().is_some() {
            source.contains(&format!("fn {test}()"))
        } else {
            source.lines().any(|line| line.split_whitespace().any(|word| word == test))
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

zubi_lab::tests!(
    the_tour_shows_what_happens,
    the_tutorials_show_what_happens,
    a_wrong_screen_is_noticed,
    every_guarantee_names_tests_that_exist,
    links_of_the_pages_lead_somewhere,
    the_first_page_is_short,
);
