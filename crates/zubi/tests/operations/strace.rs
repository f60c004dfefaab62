//! What a command really does according to `strace`, independent of the code under test.
//!
//! `strace -ff` writes one file for each process, with a hex dump behind each call that reads or writes. Parsing them
//! gives the effects of each process in order: netlink messages with the kernel's verdict, settings written, mounts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::Path;
use zubi_lab::Host;
use zubi_wire::Messages;

const RTM_BASE: u16 = 16;
const NFT: u16 = 10 << 8;
const BATCH: [u16; 2] = [16, 17];
/// Tracked connections (linux/netfilter/nfnetlink_conntrack.h).
const GET_FLOW: u16 = (1 << 8) | 1;
const DELETE_FLOW: u16 = (1 << 8) | 2;

/// Names of the kinds of route netlink messages (linux/rtnetlink.h), four to an object.
const ROUTE_OBJECTS: [&str; 8] = ["LINK", "ADDR", "ROUTE", "NEIGH", "RULE", "QDISC", "TCLASS", "TFILTER"];
/// Names of the kinds of nftables messages (linux/netfilter/nf_tables.h).
const NFT_KINDS: [(u16, &str); 19] = [
    (0, "NEWTABLE"),
    (1, "GETTABLE"),
    (2, "DELTABLE"),
    (3, "NEWCHAIN"),
    (4, "GETCHAIN"),
    (5, "DELCHAIN"),
    (6, "NEWRULE"),
    (7, "GETRULE"),
    (8, "DELRULE"),
    (9, "NEWSET"),
    (10, "GETSET"),
    (11, "DELSET"),
    (12, "NEWSETELEM"),
    (13, "GETSETELEM"),
    (14, "DELSETELEM"),
    (16, "GETGEN"),
    (26, "DESTROYTABLE"),
    (29, "DESTROYSET"),
    (30, "DESTROYSETELEM"),
];

/// A system call.
#[derive(Debug, Clone)]
pub struct Call {
    pub name: String,
    /// The text between the parentheses.
    pub args: String,
    /// The return value; negative when it failed.
    pub result: i64,
    /// The bytes it read or wrote.
    pub data: Vec<u8>,
}

/// What a descriptor refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Opened by the caller of the program.
    Caller,
    File(String),
    Route(Place),
    Netfilter,
    Packet,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Host,
    Inside,
}

/// A netlink message in words.
#[derive(Debug, Clone)]
pub struct Sent {
    /// `NEWLINK`, `GETROUTE dump`, `NEWSETELEM`.
    pub kind: String,
    pub payload: Vec<u8>,
    /// Whether the kernel did it.
    pub done: bool,
    sequence: u32,
}

/// An effect of a process that others can notice.
#[derive(Debug, Clone)]
pub enum Effect {
    /// One system call that sent netlink messages.
    Send { socket: i64, target: Target, messages: Vec<Sent> },
    /// A frame sent by a packet socket.
    Frame,
    /// A file was opened.
    Open { path: String, writable: bool },
    /// A file was written.
    Write { path: String, text: String },
    /// Another call with an effect: its name and arguments.
    Call(String, String),
    /// A child was forked.
    Fork,
    /// A descriptor was closed.
    Close(Target),
}

/// A process and its effects.
#[derive(Debug, Clone)]
pub struct Process {
    pub effects: Vec<Effect>,
    pub calls: Vec<Call>,
    /// Its descriptors and what they refer to, when it deleted its first link; else at its end.
    pub held: BTreeMap<i64, Target>,
}

/// A traced command.
#[derive(Debug)]
pub struct Trace {
    /// The process that was started.
    pub main: Process,
    /// The processes it forked.
    pub children: Vec<Process>,
    /// The lines that `--verbose` printed.
    pub printed: Vec<String>,
}

/// Traces `zubi --verbose WORDS` to the end of its last child.
pub fn trace(host: &Host, words: &str) -> Trace {
    let zubi = host.command("");
    let program = zubi.get_program().to_str().expect("path");
    trace_line(host, &format!("{program} --verbose {words}"))
}

/// Traces a program with its words and redirections, as a shell takes them, in the same way.
pub fn trace_line(host: &Host, line: &str) -> Trace {
    let folder = Path::new("/run/strace");
    if folder.exists() {
        fs::remove_dir_all(folder).expect("old traces");
    }
    fs::create_dir(folder).expect("folder of traces");
    // Descriptor 9 stands for any other that a caller has open. The variable would make the loader search for
    // libraries.
    let line = format!(
        "unset LD_LIBRARY_PATH; exec 9>/run/strace/witness; strace -ff -o /run/strace/t -s 4096 -e write=all -e read=all {line}"
    );
    let answer = host.shell(&line).ok();
    let printed = answer.err.lines().filter_map(|l| l.strip_prefix("+ ")).map(str::to_owned).collect();
    let mut files: HashMap<i64, Vec<Call>> = HashMap::new();
    for entry in fs::read_dir(folder).expect("folder of traces") {
        let path = entry.expect("trace").path();
        let Some(pid) = path.extension().and_then(|e| e.to_str()?.parse().ok()) else { continue };
        files.insert(pid, calls(&String::from_utf8_lossy(&fs::read(&path).expect("trace"))));
    }
    let pid = *files.iter().find(|(_, calls)| calls.first().is_some_and(|c| c.name == "execve")).expect("main").0;
    let caller = [0, 1, 2, 9].map(|fd| (fd, Target::Caller));
    let mut forks = Vec::new();
    let main = process(files.remove(&pid).expect("main"), caller.into(), &mut forks);
    let mut children = Vec::new();
    while let Some((pid, held)) = forks.pop() {
        if let Some(calls) = files.remove(&pid) {
            children.push(process(calls, held, &mut forks));
        }
    }
    assert!(files.is_empty(), "every traced process has a parent");
    Trace { main, children, printed }
}

/// Parses one file of `strace`.
fn calls(text: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for line in text.lines() {
        if let Some(dump) = line.strip_prefix(" | ") {
            // Offset, sixteen bytes in hex, the same as text.
            let hex = dump.get(7..56).unwrap_or_default();
            let bytes = hex.split_whitespace().filter_map(|h| u8::from_str_radix(h, 16).ok());
            if let Some(call) = calls.last_mut() {
                call.data.extend(bytes);
            }
            continue;
        }
        let Some((name, rest)) = line.split_once('(') else { continue };
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            continue;
        }
        let Some((args, result)) = rest.rsplit_once(" = ") else { continue };
        // The kernel restarts the call itself: a write to disable_ipv6 returns this while another process holds the
        // lock of route netlink (net/ipv6/addrconf.c, restart_syscall).
        if result.starts_with("? ERESTART") {
            continue;
        }
        let result = result.split_whitespace().next().unwrap_or_default();
        let result = match result.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16).unwrap_or(0),
            None => result.parse().unwrap_or(0),
        };
        let args = args.trim_end().trim_end_matches(')').to_owned();
        calls.push(Call { name: name.to_owned(), args, result, data: Vec::new() });
    }
    calls
}

/// The first quoted word after the `nth` comma.
fn path_of(args: &str) -> String {
    args.split('"').nth(1).unwrap_or_default().to_owned()
}

fn number(args: &str, nth: usize) -> i64 {
    args.split(", ").nth(nth).and_then(|n| n.parse().ok()).unwrap_or(-1)
}

/// A path that goes through a descriptor becomes that of the file opened with it.
fn by_open_file(args: &str, held: &BTreeMap<i64, Target>) -> String {
    let path = path_of(args);
    let file = path.strip_prefix("/proc/self/fd/").and_then(|fd| held.get(&fd.parse().ok()?));
    match file {
        Some(Target::File(file)) => args.replace(&path, file),
        _ => args.to_owned(),
    }
}

fn process(
    calls: Vec<Call>,
    mut held: BTreeMap<i64, Target>,
    forks: &mut Vec<(i64, BTreeMap<i64, Target>)>,
) -> Process {
    let mut effects = Vec::new();
    let mut place = Place::Host;
    let mut at_deletion = None;
    for call in &calls {
        let Call { name, args, result, data } = call;
        let first = number(args, 0);
        let target = held.get(&first).cloned().unwrap_or(Target::Other);
        match name.as_str() {
            "socket" if *result >= 0 => {
                let target = match args {
                    _ if args.contains("NETLINK_ROUTE") => Target::Route(place),
                    _ if args.contains("NETLINK_NETFILTER") => Target::Netfilter,
                    _ if args.contains("AF_PACKET") => Target::Packet,
                    _ => Target::Other,
                };
                if target == Target::Other {
                    effects.push(Effect::Call(name.clone(), args.clone()));
                }
                held.insert(*result, target);
            }
            "openat" | "open" => {
                let path = path_of(args);
                let writable = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|f| args.contains(f));
                effects.push(Effect::Open { path: path.clone(), writable });
                if *result >= 0 {
                    held.insert(*result, Target::File(path));
                }
            }
            "close" if *result == 0 => {
                effects.push(Effect::Close(target));
                held.remove(&first);
            }
            "close_range" => {
                let to = args.split(", ").nth(1).map_or(i64::MAX, |n| match n.strip_prefix("0x") {
                    Some(hex) => i64::from_str_radix(hex, 16).unwrap_or(i64::MAX),
                    None => n.parse().unwrap_or(i64::MAX),
                });
                // The largest number means all; strace prints it signed or unsigned.
                let to = if to < 0 { i64::MAX } else { to };
                held.retain(|fd, _| *fd < first || *fd > to);
            }
            "dup2" | "dup3" if *result >= 0 => {
                held.insert(*result, target);
            }
            "fcntl" if args.contains("F_DUPFD") && *result >= 0 => {
                held.insert(*result, target);
            }
            "setns" => {
                let home = matches!(&target, Target::File(path) if path.ends_with("thread-self/ns/net"));
                place = if home { Place::Host } else { Place::Inside };
            }
            "fork" | "vfork" | "clone" | "clone3" if *result > 0 => {
                effects.push(Effect::Fork);
                forks.push((*result, held.clone()));
            }
            "sendto" | "sendmsg" | "sendmmsg" => match target {
                Target::Route(_) | Target::Netfilter => {
                    let nft = target == Target::Netfilter;
                    let messages: Vec<Sent> = Messages::new(data)
                        .map(|m| Sent {
                            kind: kind(m.kind, m.flags, nft),
                            payload: m.payload.to_vec(),
                            done: true,
                            sequence: m.sequence,
                        })
                        .collect();
                    assert!(!messages.is_empty(), "a send without a dump of its bytes: {call:?}");
                    if messages.iter().any(|m| m.kind == "DELLINK") && at_deletion.is_none() {
                        at_deletion = Some(held.clone());
                    }
                    effects.push(Effect::Send { socket: first, target, messages });
                }
                Target::Packet => effects.push(Effect::Frame),
                _ => effects.push(Effect::Call(name.clone(), args.clone())),
            },
            "recvfrom" if *result > 0 => {
                for message in Messages::new(data) {
                    if let Some(Err(_)) = message.outcome() {
                        refuse(&mut effects, first, message.sequence);
                    }
                }
            }
            "write" | "pwrite64" | "writev" if *result > 0 => {
                if let Target::File(path) = target {
                    effects.push(Effect::Write { path, text: String::from_utf8_lossy(data).into_owned() });
                }
            }
            "execve" | "mount" | "umount2" | "unshare" | "pivot_root" | "init_module" | "finit_module" | "bpf"
            | "unlink" | "unlinkat" | "rename" | "renameat" | "renameat2" | "link" | "linkat" | "symlink" | "mkdir"
            | "rmdir" | "chmod" | "chown" | "kill" | "tgkill" | "connect" | "ioctl" | "truncate" | "ftruncate"
            | "reboot" | "sethostname" | "setsid"
                if *result >= 0 =>
            {
                // Relative to an open folder.
                let args = match &target {
                    Target::File(folder) if name == "unlinkat" => format!("\"{folder}/{}\"", path_of(args)),
                    _ => by_open_file(args, &held),
                };
                effects.push(Effect::Call(name.clone(), args));
            }
            _ => {}
        }
    }
    Process { effects, calls, held: at_deletion.unwrap_or(held) }
}

/// Marks the message that the kernel refused; in a transaction, every message.
fn refuse(effects: &mut [Effect], from: i64, sequence: u32) {
    for effect in effects.iter_mut().rev() {
        let Effect::Send { socket, target, messages } = effect else { continue };
        if *socket != from || !messages.iter().any(|m| m.sequence == sequence) {
            continue;
        }
        let whole = *target == Target::Netfilter;
        messages.iter_mut().filter(|m| whole || m.sequence == sequence).for_each(|m| m.done = false);
        return;
    }
}

fn kind(kind: u16, flags: u16, nft: bool) -> String {
    let name = if nft {
        let known = NFT_KINDS.iter().find(|(k, _)| NFT | k == kind).map(|(_, name)| (*name).to_owned());
        match known {
            Some(name) => name,
            None if BATCH.contains(&kind) => "BATCH".to_owned(),
            None if kind == GET_FLOW => "GETFLOW".to_owned(),
            None if kind == DELETE_FLOW => "DELFLOW".to_owned(),
            None => format!("nft {kind:#x}"),
        }
    } else {
        let at = kind.wrapping_sub(RTM_BASE);
        match ROUTE_OBJECTS.get(usize::from(at / 4)) {
            Some(object) => format!("{}{object}", ["NEW", "DEL", "GET", "SET"][usize::from(at % 4)]),
            None => format!("route {kind:#x}"),
        }
    };
    let dump = name.starts_with("GET") && flags & 0x300 == 0x300;
    if dump { name + " dump" } else { name }
}

impl Sent {
    /// Whether the message only asks.
    pub fn asks(&self) -> bool {
        // strace has no word for RTM_GETNSID.
        self.kind.starts_with("GET") || self.kind == "BATCH" || self.kind.ends_with("0x5a")
    }
}

impl Process {
    /// Its netlink sends, one line each: socket and messages.
    pub fn sends(&self) -> Vec<String> {
        let words = |e: &Effect| match e {
            Effect::Send { target, messages, .. } => {
                let place = match target {
                    Target::Route(Place::Host) => "host",
                    Target::Route(Place::Inside) => "inside",
                    _ => "nft",
                };
                let kinds: Vec<&str> = messages.iter().map(|m| m.kind.as_str()).filter(|k| *k != "BATCH").collect();
                Some(format!("{place}: {}", kinds.join(" ")))
            }
            Effect::Frame => Some("inside: frame".to_owned()),
            _ => None,
        };
        self.effects.iter().filter_map(words).collect()
    }

    /// The count of each system call.
    pub fn calls_by_name(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in &self.calls {
            *counts.entry(call.name.clone()).or_default() += 1;
        }
        counts
    }

    /// The files it opened, or tried to.
    pub fn opened(&self) -> Vec<String> {
        self.effects
            .iter()
            .filter_map(|e| match e {
                Effect::Open { path, .. } => Some(path.clone()),
                _ => None,
            })
            .collect()
    }
}

impl Trace {
    /// All processes.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        std::iter::once(&self.main).chain(&self.children)
    }

    /// The kinds of all messages sent.
    pub fn kinds(&self) -> HashSet<String> {
        let sent = |e: &Effect| match e {
            Effect::Send { messages, .. } => messages.iter().map(|m| m.kind.clone()).collect(),
            _ => Vec::new(),
        };
        self.processes().flat_map(|p| p.effects.iter().flat_map(sent)).collect()
    }
}
