//! The screens of the pages: they are typed on fresh hosts, and what is printed is compared. (No tests.)
//!
//! # How it works
//! A block fenced as `console` is a screen. `$ zubi lab` starts a fresh host (with `--outside`, one with a neighbour);
//! each line behind the prompt `lab# `, with
//! the lines behind `> ` that continue it, is given to a shell there, with the zubi under test first in PATH. What
//! follows up to the next prompt is what it should print. A block fenced as `console docker` has the prompt `host# `: a
//! machine with Docker, one for each page. A block with another fence, such as `sh`, is not run.
//!
//! A shown line `...` stands for any number of lines, and ` ...` at the end of a line for the rest of it. MACs made at
//! random, names of devices made at random, interface numbers, process ids and times are compared by their form only.
//! [`LISTS`] are sorted by such names, so their order may differ.
//!
//! `ZUBI_PAGES=update` writes what was printed into the pages, where it differs.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use zubi_lab::{links, on_another_host};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const MORE: &str = "> ";
const START: &str = "$ zubi lab";
const START_WITH_OUTSIDE: &str = "$ zubi lab --outside";
/// Commands whose lines may come in any order.
const LISTS: [&str; 4] = ["zubi bridge", "zubi bridge show", "zubi check", "zubi repair"];
/// What the shell prints behind each command.
const END: char = '\u{1e}';

// The screens

/// Where the screens of a block are typed.
#[derive(Clone, Copy)]
pub enum Fence {
    /// In labs.
    Lab,
    /// On a machine with Docker.
    Docker,
}

impl Fence {
    fn first_line(self) -> &'static str {
        match self {
            Fence::Lab => "```console",
            Fence::Docker => "```console docker",
        }
    }

    fn prompt(self) -> &'static str {
        match self {
            Fence::Lab => "lab# ",
            Fence::Docker => "host# ",
        }
    }
}

/// A command and the lines that the page shows behind it.
pub struct Screen {
    /// The line of the page with the prompt, from 0.
    at: usize,
    pub command: String,
    /// Whether its host has a neighbour outside.
    outside: bool,
    /// The lines of the page that show its output.
    shown: std::ops::Range<usize>,
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The screens of a page's blocks with this fence: one list for each host.
pub fn screens(lines: &[String], fence: Fence) -> Vec<Vec<Screen>> {
    let mut hosts: Vec<Vec<Screen>> = Vec::new();
    if matches!(fence, Fence::Docker) {
        hosts.push(Vec::new());
    }
    let mut inside = false;
    let mut typing = false;
    let mut outside = false;
    for (at, line) in lines.iter().enumerate() {
        if line.starts_with("```") {
            inside = !inside && line == fence.first_line();
            typing = false;
            continue;
        }
        if !inside {
            continue;
        }
        if line == START || line == START_WITH_OUTSIDE {
            hosts.push(Vec::new());
            outside = line == START_WITH_OUTSIDE;
            typing = false;
        } else if let Some(command) = line.strip_prefix(fence.prompt()) {
            let host = hosts.last_mut().unwrap_or_else(|| panic!("line {}: no `{START}` before it", at + 1));
            host.push(Screen { at, command: command.to_owned(), outside, shown: at + 1..at + 1 });
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

/// Types the commands on this host; returns what each printed, and [`END`] behind each. `bin` is searched for programs
/// before the rest of PATH.
pub fn type_all(host: &[Screen], bin: &Path) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut script = String::new();
    for screen in host {
        writeln!(script, "{{ {}\n}} </dev/null 2>&1\nprintf '\\036'", screen.command).expect("a string");
    }
    fs::create_dir("/run/work").expect("a folder to work in");
    let printed = fs::File::create("/run/pages.out").expect("a file for the output");
    let mut shell = if host.first().is_some_and(|screen| screen.outside) {
        let mut lab = Command::new(ZUBI);
        // The lab has a /run of its own.
        lab.args(["lab", "--outside", "--", "sh", "-c", &script]);
        lab
    } else {
        fs::write("/run/pages.sh", script).expect("the script");
        let mut shell = Command::new("sh");
        shell.arg("/run/pages.sh");
        shell
    };
    shell.current_dir("/run/work").stdin(Stdio::null()).stdout(printed).stderr(Stdio::inherit());
    shell.env("PATH", format!("{}:{path}:/usr/sbin:/sbin", bin.display())).env("LC_ALL", "C");
    shell.env("ZUBI_STATE_DIR", "/run/zubi-state").env("ZUBI_RUN_DIR", "/run/zubi");
    shell.status().expect("sh");
    String::from_utf8_lossy(&fs::read("/run/pages.out").expect("the output")).into_owned()
}

/// Types the screens of a page and compares, or updates the page.
pub fn shows_what_happens(name: &str) {
    let lines: Vec<String> = page(name).lines().map(str::to_owned).collect();
    let hosts = screens(&lines, Fence::Lab);
    assert!(!hosts.is_empty(), "{name} has no screens");
    let printed: Vec<String> =
        hosts.iter().map(|host| on_another_host(|| type_all(host, &links(ZUBI, "/run/bin", &["zubi"])))).collect();
    compare(name, lines, &hosts, &printed);
}

/// Compares what each host printed with the page, or updates the page.
pub fn compare(name: &str, mut lines: Vec<String>, hosts: &[Vec<Screen>], printed: &[String]) {
    let mut wrong = Vec::new();
    for (host, printed) in hosts.iter().zip(printed) {
        let mut printed = printed.split(END);
        for screen in host {
            let text = printed.next().unwrap_or("the shell ended before this command");
            let printed: Vec<&str> = text.trim_end().lines().collect();
            let shown = &lines[screen.shown.clone()];
            let list =
                LISTS.iter().any(|list| screen.command == *list || screen.command.starts_with(&format!("{list} br")));
            if !(alike(shown, &printed) || list && alike_in_any_order(shown, &printed)) {
                wrong.push((screen, text.trim_end().to_owned()));
            }
        }
    }
    if std::env::var("ZUBI_PAGES").is_ok_and(|word| word == "update") {
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
pub fn alike(shown: &[String], printed: &[&str]) -> bool {
    let Some((first, rest)) = shown.split_first() else { return printed.is_empty() };
    if first == "..." {
        return (0..=printed.len()).any(|skipped| alike(rest, &printed[skipped..]));
    }
    let Some((line, others)) = printed.split_first() else { return false };
    alike_lines(first, line) && alike(rest, others)
}

fn alike_lines(shown: &str, printed: &str) -> bool {
    match shown.strip_suffix(" ...") {
        Some(start) => normal(printed).starts_with(&normal(start)),
        None => normal(printed) == normal(shown),
    }
}

/// Like [`alike`], without order: of lines, or of all words, since a table names the owner of several rows once.
fn alike_in_any_order(shown: &[String], printed: &[&str]) -> bool {
    let words = |text: String| {
        let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        words.sort();
        words
    };
    let all = |lines: &[&str]| words(lines.iter().map(|line| normal(line) + " ").collect());
    let mut left = printed.to_vec();
    let lines = shown.iter().all(|line| {
        let found = left.iter().position(|printed| alike_lines(line, printed));
        found.map(|at| left.remove(at)).is_some()
    });
    lines && left.is_empty() || all(&shown.iter().map(String::as_str).collect::<Vec<_>>()) == all(printed)
}

/// The line without what differs from run to run.
fn normal(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut before = "";
    for word in line.split_whitespace() {
        let number = word.trim_end_matches([')', ',', ';']);
        // An id such as 0e1647256797 is a number too, with an exponent.
        let number = number.parse::<f64>().is_ok() && number.len() < 12;
        words.push(match before {
            "pid" | "(pid" | "link-netnsid" | "time" => format!("{before}'s"),
            "mdev" if word == "=" => "=".into(),
            _ if before == "=" && word.matches('/').count() == 3 => "times".into(),
            "" if word.ends_with(':') && word.trim_end_matches(':').parse::<u32>().is_ok() => "number:".into(),
            _ if number => word.into(),
            _ => normal_word(word, line),
        });
        before = word;
    }
    words.join(" ")
}

fn normal_word(word: &str, line: &str) -> String {
    let mut text = String::new();
    let mut rest = word;
    while let Some(next) = rest.chars().next() {
        let hex = rest.chars().take_while(|c| matches!(c, '0'..='9' | 'a'..='f')).count();
        let digits = |from: &str| from.chars().take_while(char::is_ascii_digit).count();
        let veth = rest.strip_prefix("veth").and_then(|tail| tail.get(..7));
        let device = ["zv", "zd"].iter().any(|mark| {
            rest.strip_prefix(mark)
                .is_some_and(|tail| tail.chars().take_while(|c| matches!(c, '0'..='9' | 'a'..='f')).count() == 10)
        });
        if device {
            text.push_str("zv..");
            rest = &rest[12..];
        } else if veth.is_some_and(|random| random.chars().all(|c| c.is_ascii_hexdigit())) {
            text.push_str("veth..");
            rest = &rest[11..];
        } else if let Some(mac) = mac(rest) {
            text.push_str(if follows_from_address(mac, line) { mac } else { "MAC" });
            rest = &rest[17..];
        } else if hex >= 12 {
            text.push_str("id");
            rest = &rest[hex..];
        } else if let Some(tail) = rest.strip_prefix("fe80::") {
            text.push_str("fe80::");
            rest = tail.trim_start_matches(|c: char| c.is_ascii_hexdigit() || c == ':');
        } else if let Some(mark) = ["@if", "@", "at=", "time=", "/proc/"]
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

/// Whether the last four bytes of the MAC are an IPv4 address in the line.
fn follows_from_address(mac: &str, line: &str) -> bool {
    let bytes: Vec<String> = mac
        .split(':')
        .skip(2)
        .filter_map(|byte| u8::from_str_radix(byte, 16).ok())
        .map(|byte| byte.to_string())
        .collect();
    line.contains(&bytes.join("."))
}

/// The MAC that the text begins with.
fn mac(text: &str) -> Option<&str> {
    let start = text.get(..17)?;
    let is = |(at, c): (usize, char)| if at % 3 == 2 { c == ':' } else { c.is_ascii_hexdigit() };
    start.char_indices().all(is).then_some(start)
}
