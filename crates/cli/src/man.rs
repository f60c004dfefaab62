//! The man pages: what clap knows of each command, and the sections that a reader of man pages looks for.

use crate::words::Cli;
use clap::{Command, CommandFactory};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use zubi_engine::Error;

/// Writes one page a command.
pub(crate) fn man_pages(folder: &Path) -> Result<ExitCode, Error> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    write_pages(&root, folder).map_err(|e| Error::writing("man pages", folder, e))?;
    Ok(ExitCode::SUCCESS)
}

fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    for inner in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        write_pages(inner, folder)?;
    }
    let name = command.get_display_name().unwrap_or("zubi").to_owned();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    page.extend(sections(command, &name).into_bytes());
    fs::write(folder.join(format!("{name}.1")), page)
}

/// Examples by the page's name.
const EXAMPLES: &[(&str, &[(&str, &str)])] = &[
    (
        "zubi",
        &[
            ("zubi network create blue", "Makes a network with a subnet that is free."),
            ("zubi connect blue docker:web \\-p 8080:80", "Connects a running container and publishes its port 80."),
            ("zubi run \\-\\-network blue \\-\\- sh", "Opens a shell of this host on the network."),
            ("zubi \\-\\-explain connect blue docker:web", "Prints the commands that would do the same."),
            ("zubi man /usr/local/share/man/man1", "Writes these pages."),
        ],
    ),
    (
        "zubi-network-create",
        &[
            (
                "zubi network create blue \\-\\-subnet 10.1.0.0/24 \\-\\-subnet fd00:1::/64",
                "A network of both families.",
            ),
            ("zubi network create back \\-\\-internal", "A network without a way out."),
            (
                "zubi network create lan \\-\\-driver uplink \\-\\-parent eth0 \\-\\-ip\\-range 192.168.1.128/26",
                "Containers on the LAN, by the host's network card.",
            ),
        ],
    ),
    (
        "zubi-network-ls",
        &[("zubi network ls \\-\\-filter label=team=a \\-\\-format '{{.Name}}'", "The names of a team's networks.")],
    ),
    (
        "zubi-network-inspect",
        &[("zubi network inspect blue \\-f '{{json .IPAM.Config}}'", "The subnets of a network.")],
    ),
    (
        "zubi-network-set",
        &[("zubi network set blue \\-\\-mtu 1400", "Changes bridge and endpoints while they are in use.")],
    ),
    ("zubi-network-rm", &[("zubi network rm \\-f blue green", "Disconnects what is connected, and removes both.")]),
    (
        "zubi-sandbox-add",
        &[("zubi sandbox add web \\-\\-from docker:web", "Makes ip netns exec web reach the container.")],
    ),
    (
        "zubi-sandbox-exec",
        &[("zubi sandbox exec docker:web \\-\\- ss \\-tln", "Tools of this host, network of the container.")],
    ),
    ("zubi-connect", &[("zubi connect blue pid:4711 \\-\\-ip 10.1.0.7", "Connects the namespace of a process.")]),
    ("zubi-disconnect", &[("zubi disconnect blue docker:web", "Takes device, address and ports back.")]),
    ("zubi-port-add", &[("zubi port add blue web 127.0.0.1:8080:80", "Only this host itself reaches the port.")]),
    ("zubi-run", &[("zubi run \\-d \\-\\-name db \\-p 5432 \\-\\- postgres \\-D /srv/db", "Runs in the background.")]),
    (
        "zubi-link",
        &[("zubi link web:eth1 db:eth1 \\-\\-address 10.9.0.1/30,10.9.0.2/30", "A cable between two sandboxes.")],
    ),
    ("zubi-ls", &[("zubi \\-\\-json ls | jq \\-r '.[] | select(.state != \"up\") | .sandbox'", "What is not up.")]),
    ("zubi-completions", &[("zubi completions bash > /etc/bash_completion.d/zubi", "For every user of bash.")]),
];

const FILES: &[(&str, &str)] = &[
    ("/var/lib/zubi", "The networks (\\-\\-state\\-dir, ZUBI_STATE_DIR)."),
    ("/run/zubi", "The records of this boot: endpoints, addresses, ports, links (\\-\\-run\\-dir, ZUBI_RUN_DIR)."),
    ("/etc/zubi/config.json", "Settings (ZUBI_CONFIG)."),
    ("/run/netns", "Named sandboxes, those of ip\\-netns(8)."),
];

const EXIT: &[(&str, &str)] = &[
    ("0", "Done."),
    ("1", "check found problems."),
    ("2", "The words were not understood; nothing was done."),
    ("3", "A network, a sandbox or a container does not exist."),
    ("4", "Something else is in the way."),
    ("5", "No address, subnet or bridge port is left."),
    ("6", "A capability is missing."),
    ("7", "The kernel refused; what was done is undone, unless the error says otherwise."),
    ("8", "A record cannot be read or written."),
];

const EXIT_OF_PROGRAMS: &[(&str, &str)] =
    &[("126", "The program cannot be run."), ("127", "The program was not found."), ("other", "The program's own.")];

fn sections(command: &Command, name: &str) -> String {
    let mut text = String::new();
    let mut section = |title: &str, terms: &[(&str, &str)]| {
        if !terms.is_empty() {
            let _infallible = writeln!(text, ".SH \"{title}\"");
        }
        for (term, what) in terms {
            let _infallible = writeln!(text, ".TP\n\\fB{term}\\fR\n{what}");
        }
    };
    section("EXAMPLES", EXAMPLES.iter().find(|(of, _)| *of == name).map_or(&[], |(_, all)| all));
    section("FILES", FILES);
    section("EXIT STATUS", EXIT);
    if ["zubi", "zubi-run", "zubi-sandbox-exec", "zubi-lab"].contains(&name) {
        section("EXIT STATUS OF PROGRAMS", EXIT_OF_PROGRAMS);
    }
    let mut others: Vec<String> = command
        .get_subcommands()
        .filter(|c| !c.is_hide_set())
        .filter_map(|c| Some(c.get_display_name()?.to_owned()))
        .collect();
    if let Some((parent, _)) = name.rsplit_once('-') {
        others.insert(0, parent.to_owned());
    }
    others.extend(["ip-netns", "nsenter", "nft"].map(str::to_owned));
    let page = |other: &String| match other.as_str() {
        "ip-netns" | "nft" => format!("\\fB{}\\fR(8)", other.replace('-', "\\-")),
        _ => format!("\\fB{}\\fR(1)", other.replace('-', "\\-")),
    };
    let all: Vec<String> = others.iter().map(page).collect();
    let _infallible = writeln!(text, ".SH \"SEE ALSO\"\n{}", all.join(", "));
    text
}
