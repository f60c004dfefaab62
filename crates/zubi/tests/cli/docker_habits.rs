//! What people type who come from Docker: it works, or the answer says what to type instead.

use crate::blue::{ZUBI, blue};
use serde_json::{Value, json};
use zubi_lab::{Host, Snapshot, assert_reaches, skip};

const USAGE: i32 = 2;
const NOT_FOUND: i32 = 3;
const CONFLICT: i32 = 4;
const NO_SUCH_PROGRAM: i32 = 127;

/// Each command fails with its code and words, in one line that starts with `zubi:`, and changes nothing.
fn refused(host: &Host, all: &[(&str, i32, &str)]) {
    let before = Snapshot::take();
    for (command, code, words) in all {
        let said = host.zubi(command).fails(*code, words).err;
        assert!(said.starts_with("zubi: ") && said.lines().count() == 1, "{command}: {said}");
        for tip in ["to pass", "Usage:", "For more information"] {
            assert!(!said.contains(tip), "{command}: {said}");
        }
        before.assert_no_residue(&Snapshot::take());
    }
}

fn the_driver_bridge_is_accepted_and_others_are_refused_by_name() {
    let host = Host::new(ZUBI);
    host.zubi("network create --driver bridge red").ok();
    host.zubi("network create -d bridge green").ok();
    refused(
        &host,
        &[
            ("network create -d overlay x", USAGE, "`overlay`: not yet"),
            ("network create -d host x", USAGE, "--network host"),
            ("network create -d weave x", USAGE, "is unknown; there are: bridge, uplink, macvlan"),
        ],
    );
}

fn docker_s_options_of_a_bridge_are_ours() {
    let host = Host::new(ZUBI);
    let options = "-o com.docker.network.bridge.name=br7 -o com.docker.network.bridge.enable_icc=false \
                   --opt com.docker.network.bridge.enable_ip_masquerade=false -o com.docker.network.driver.mtu=1400";
    host.zubi(&format!("network create blue {options}")).ok();
    host.shell("ip link show br7 | grep -q 'mtu 1400'").ok();
    let listed = host.zubi("network ls").ok().out;
    assert!(listed.contains("no-icc,no-masquerade"), "{listed}");
    refused(
        &host,
        &[
            ("network create x -o com.docker.network.nope=1", USAGE, "com.docker.network.driver.mtu"),
            ("network create x -o com.docker.network.bridge.enable_icc=maybe", USAGE, "neither true nor false"),
            ("network create x -o nonsense", USAGE, "write KEY=VALUE"),
            ("network create x --bridge br8 -o com.docker.network.bridge.name=br9", USAGE, "contradicts"),
            ("network create x -o com.docker.network.bridge.host_binding_ipv4=127.0.0.1", USAGE, "-p 127.0.0.1"),
        ],
    );
}

fn network_connect_and_disconnect_are_connect_and_disconnect() {
    let host = blue();
    host.zubi("sandbox add web").ok();
    host.zubi("network connect --ip 10.55.66.7 --alias www blue web").ok();
    assert_reaches("host", "web", "10.55.66.7");
    host.zubi("network disconnect -f blue web").ok();
    host.shell("ip -n web link show eth0").fails(1, "");
}

fn network_ls_knows_quiet_filters_and_formats() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.1.0.0/24 --label team=a");
    host.network("green --subnet 10.2.0.0/24 --label team=b --label big=");
    let all = host.zubi("--json network ls").ok().json();
    let id = all[0]["Id"].as_str().expect("id").to_owned();
    let ids = host.zubi("network ls -q").ok().out;
    assert_eq!(ids.lines().count(), 2, "{ids}");
    assert!(id.starts_with(ids.lines().next().expect("one")), "{ids} {id}");
    for (words, said) in [
        ("--filter name=blu", "blue"),
        ("--filter name=blue --filter name=green", "blue green"),
        ("--filter name=blue --filter label=team=b", ""),
        ("-f label=team", "blue green"),
        ("-f label=team=b", "green"),
        ("-f label=team -f label=big", "green"),
        ("-f driver=bridge", "blue green"),
        ("-f driver=overlay", ""),
        (&format!("-f id={}", &id[..8]), "blue"),
    ] {
        let mut line: Vec<&str> = vec!["network", "ls"];
        line.extend(words.split_whitespace());
        line.extend(["--format", "{{.Name}}"]);
        let names: Vec<String> = host.zubi_words(&line).ok().out.lines().map(str::to_owned).collect();
        assert_eq!(names.join(" "), said, "{words}");
    }
    let line = host.zubi_words(&["network", "ls", "--format", "{{.Name}}\\t{{.Driver}} {{.Scope}}"]).ok().out;
    assert_eq!(line.lines().next(), Some("blue\tbridge local"));
    let line = host.zubi("network ls --format json").ok().out;
    let first: Value = serde_json::from_str(line.lines().next().expect("one")).expect("JSON");
    assert_eq!((&first["Name"], &first["Labels"]), (&json!("blue"), &json!("team=a")));
    refused(&host, &[("network ls --filter dangling=true", USAGE, "there are: name, id, driver, label, scope")]);
    let table =
        host.zubi_words(&["network", "ls", "--format", "table {{.Name}}\\t{{.Driver}}\\t{{.CreatedAt}}"]).ok().out;
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        (&*lines[0], &lines[1][..2]),
        (&["NAME", "DRIVER", "CREATED", "AT"][..], &["blue", "bridge"][..]),
        "{table}"
    );
    for (template, words) in [
        ("{{range .}}", "has no {{end}}"),
        ("{{truncate .Name 3}}", "`truncate` is not understood; there are: json"),
        ("table", "has no field"),
    ] {
        host.zubi_words(&["network", "ls", "--format", template]).fails(USAGE, words);
    }
}

/// The words and the line ends.
fn sorted(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = text.split(' ').flat_map(|word| word.split_inclusive('\n')).collect();
    words.sort_unstable();
    words
}

fn network_inspect_prints_fields() {
    let host = blue();
    let field = |template: &str| host.zubi_words(&["network", "inspect", "-f", template, "blue"]).ok().out;
    assert_eq!(field("{{.Name}}"), "blue\n");
    assert_eq!(field("{{.IPAM.Driver}} {{.Internal}} {{.Ingress}}"), "default false false\n");
    assert_eq!(field("{{index .Options \"com.docker.network.bridge.name\"}}"), "zb-blue\n");
    assert!(field("{{json .IPAM.Config}}").starts_with("[{"));
    host.container("c1", "blue");
    host.container("c2", "blue");
    for (template, said) in [
        ("{{range .IPAM.Config}}{{.Subnet}} {{end}}", "10.55.66.0/24 fd00:55::/64 \n"),
        ("{{(index .IPAM.Config 0).Gateway}}", "10.55.66.1\n"),
        ("{{range $k, $v := .Containers}}{{$v.Name}} {{end}}", "c1 c2 \n"),
        ("{{range .Containers}}{{println .Name .Interface}}{{end}}", "c1 eth0\nc2 eth0\n\n"),
        ("{{len .Containers}} {{if .Internal}}in{{else}}out{{end}}", "2 out\n"),
        ("{{.Name | printf \"%s!\" | upper}}{{- /* loud */ -}} ", "BLUE!\n"),
    ] {
        // Containers are in the order of their numbers, as text.
        assert_eq!(sorted(&field(template)), sorted(said), "{template}");
    }
    host.zubi_words(&["network", "inspect", "--format", "{{.Nmae}}", "blue"]).fails(USAGE, "has no field Nmae");
    let inspect = |template: &str| host.zubi_words(&["network", "inspect", "-f", template, "blue"]);
    inspect("table {{.Name}}").fails(USAGE, "`table` is for lists");
    inspect("{{template \"x\"}}").fails(USAGE, "`template` is not understood");
    host.zubi("network show blue").ok();
}

fn inspect_has_docker_s_order_and_names() {
    let host = blue();
    host.container("c1", "blue");
    let text = host.zubi("network inspect blue").ok().out;
    let at = |key: &str| text.find(&format!("\n    \"{key}\":")).unwrap_or_else(|| panic!("{key} is not in {text}"));
    let order = [
        "Name",
        "Id",
        "Created",
        "Scope",
        "Driver",
        "EnableIPv4",
        "EnableIPv6",
        "IPAM",
        "Internal",
        "Attachable",
        "Ingress",
        "ConfigFrom",
        "ConfigOnly",
        "Containers",
        "Options",
        "Labels",
    ];
    let places: Vec<usize> = order.iter().map(|key| at(key)).collect();
    assert!(places.is_sorted(), "{text}");
}

fn network_rm_with_force_disconnects_first() {
    let host = Host::new(ZUBI);
    let before = Snapshot::take();
    host.network("blue --subnet 10.55.66.0/24");
    host.container("c1", "blue");
    host.container("c2", "blue");
    host.zubi("network rm blue").fails(CONFLICT, "2 endpoints are still attached");
    host.zubi("network rm -f blue").ok();
    host.shell("ip -n c1 link show eth0").fails(1, "");
    host.zubi("sandbox delete c1 c2").ok();
    host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn the_plan_of_network_rm_with_force_disconnects_first_and_does_what_it_says() {
    let host = Host::new(ZUBI);
    let before = Snapshot::take();
    host.network("blue --subnet 10.55.66.0/24");
    host.network("green --subnet 10.55.67.0/24");
    host.zubi("sandbox add c1").ok();
    host.zubi("connect blue c1 -p 8080:80").ok();
    host.connect("green c1");
    host.container("c2", "blue");
    let whole = Snapshot::take();
    let told = host.zubi("--explain network rm -f blue").ok().out;
    whole.assert_no_residue(&Snapshot::take());
    let at = |words: &str| told.find(words).unwrap_or_else(|| panic!("{words} is not in:\n{told}"));
    assert_eq!(told.matches("ip link del zv").count(), 2, "{told}");
    assert!(
        at("ip link del zv") < at("ip link del zb-blue") && at("default via 10.55.67.1") < at("ip link del zb-blue")
    );
    // Whoever types the lines has removed what zubi removes.
    let told = host.zubi("--explain network rm -f blue green").ok().out;
    std::fs::write("/run/commands", format!("set -e\n{}", host.zubi("--explain network rm -f blue").ok().out)).unwrap();
    host.shell("sh /run/commands").ok();
    host.shell("ip -n c1 route show default | grep -q 'via 10.55.67.1 dev eth1'").ok();
    for gone in ["ip link show zb-blue", "ip -n c2 link show eth0", "nft list table inet zubi | grep -q 10.55.66"] {
        assert_ne!(host.shell(gone).code, 0, "{gone}");
    }
    assert!(told.contains("ip link del zb-blue") && told.contains("ip link del zb-green"), "{told}");
    host.zubi("network rm -f blue green").ok();
    host.zubi("sandbox rm c1 c2").ok();
    host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn several_names_are_all_or_nothing() {
    let host = blue();
    host.network("green --subnet 10.2.0.0/24");
    host.zubi("sandbox create c1 c2").ok();
    host.zubi("link c1:x c2:x").ok();
    refused(
        &host,
        &[
            ("network rm blue nope green", NOT_FOUND, "network nope does not exist"),
            ("network rm -f blue nope", NOT_FOUND, "network nope does not exist"),
            ("sandbox rm c1 nope c2", NOT_FOUND, "nope"),
            ("sandbox add c3 c1", CONFLICT, "sandbox c1 exists already"),
            ("sandbox add c3 c4 --from c1", USAGE, "c4 is a second one"),
            ("link rm c1:x host:typo", NOT_FOUND, "no link has the end host:typo; there are: c1:x, c2:x"),
            ("network inspect blue nope", NOT_FOUND, "network nope does not exist"),
        ],
    );
    host.zubi("network rm blue blue green").ok();
    assert_eq!(host.zubi("network ls -q").ok().out, "");
    host.zubi("rm c1 c2").ok();
    assert_eq!(host.zubi("--json sandbox ls").ok().json(), json!([]));
}

fn several_sandboxes_are_made_at_once() {
    let host = Host::new(ZUBI);
    assert_eq!(host.zubi("sandbox add c1 c2").ok().out, "c1\nc2\n");
    assert_eq!(host.zubi("--json sandbox add c3").ok().json(), json!({"sandbox": "c3"}));
    assert_eq!(host.zubi("--json sandbox add c4 c5").ok().json(), json!([{"sandbox": "c4"}, {"sandbox": "c5"}]));
}

fn ps_exec_and_port_are_answered() {
    let host = blue();
    host.zubi("sandbox add web").ok();
    host.zubi("connect blue web -p 8080:80").ok();
    let listed = host.zubi("ls").ok().out;
    assert_eq!(host.zubi("ps").ok().out, listed);
    assert_eq!(host.zubi("list").ok().out, listed);
    assert_eq!(host.zubi("port web").ok().out, host.zubi("port ls web").ok().out);
    assert!(host.zubi("exec -it web ip -br addr").ok().out.contains("10.55.66.2"));
    assert!(host.zubi("sandbox exec -i -t web -- ip -br addr").ok().out.contains("10.55.66.2"));
    let words = ["exec", "-e", "WORD=blue", "-w", "/tmp", "web", "sh", "-c", "echo $WORD $PWD"];
    assert_eq!(host.zubi_words(&words).ok().out, "blue /tmp\n");
    refused(&host, &[("port nobody", NOT_FOUND, "sandbox nobody does not exist")]);
}

fn version_and_info_are_answered() {
    let host = Host::new(ZUBI);
    assert_eq!(host.zubi("version").ok().out, host.zubi("--version").ok().out);
    let info = host.zubi("--json info").ok().json();
    assert_eq!(
        (&info["run_dir"], &info["coexistence"], &info["lab"]),
        (&json!("/run/zubi"), &json!(true), &json!(false))
    );
}

fn commands_that_zubi_does_not_have_say_what_to_use() {
    let host = Host::new(ZUBI);
    refused(
        &host,
        &[
            ("stop web", USAGE, "zubi sandbox rm --force"),
            ("logs -f web", USAGE, "its caller's terminal"),
            ("inspect web", USAGE, "zubi network inspect"),
            ("images", USAGE, "zubi has no images"),
            ("build .", USAGE, "zubi has no images"),
            ("pull busybox", USAGE, "zubi has no images"),
            ("networks", USAGE, "zubi network ls"),
            ("check --fix", USAGE, "zubi repair"),
            ("network creat blue", USAGE, "did you mean create?"),
            ("network create blue --sbnet 10.1.0.0/24", USAGE, "no option --sbnet; did you mean --subnet?"),
            ("network create", USAGE, "<NAME> is missing"),
            ("network create a b", USAGE, "no place for the word b"),
        ],
    );
}

fn errors_in_json_have_no_usage_text() {
    let host = Host::new(ZUBI);
    for words in ["network create", "frob", "network", "network rm -x a", "network create x --mtu 12"] {
        let said = host.zubi(&format!("--json {words}")).fails(USAGE, "").err;
        let said: Value = serde_json::from_str(&said).expect("JSON");
        let message = said["error"]["message"].as_str().expect("text");
        assert!(!message.contains("Usage:") && !message.contains('\n'), "{message}");
    }
}

fn run_takes_docker_s_options_for_a_terminal() {
    let host = Host::new(ZUBI);
    let answer = host.zubi("run --rm -it --net none -- echo hello").ok();
    assert_eq!(answer.out, "hello\n");
    assert_eq!(host.zubi("run --rm -i -t --network none echo -n --rm").ok().out, "--rm");
    let words = ["run", "--net", "none", "-e", "WORD=blue", "-w", "/tmp", "sh", "-c", "echo $WORD $PWD"];
    assert_eq!(host.zubi_words(&words).ok().out, "blue /tmp\n");
}

fn run_refuses_before_any_effect() {
    let host = Host::new(ZUBI);
    refused(
        &host,
        &[
            ("run --netwrok blue -- true", USAGE, "no option --netwrok; did you mean --network?"),
            ("run --frob -- true", USAGE, "no option --frob"),
            ("run --entrypoint sh busybox", USAGE, "zubi has no images"),
            ("run --volume /a:/b true", USAGE, "the files of this host"),
            ("run -u nobody true", USAGE, "setpriv"),
            ("run --memory 1g true", USAGE, "systemd-run"),
            ("run --rm -it no-such-image sh", NO_SUCH_PROGRAM, "zubi has no images, it runs programs of this host"),
            ("run -v /a:/b true", NO_SUCH_PROGRAM, "-v is --verbose: there are no volumes"),
            ("run -w /no/such/folder true", USAGE, "is no directory"),
            ("run --network host --name web true", USAGE, "gets no sandbox of its own"),
            ("run --name host true", USAGE, "means this machine itself"),
        ],
    );
}

fn swapped_words_are_noticed() {
    let host = blue();
    host.zubi("sandbox add web").ok();
    refused(
        &host,
        &[
            ("connect web blue", NOT_FOUND, "did you swap them? zubi connect blue web"),
            ("disconnect web blue", NOT_FOUND, "did you swap them? zubi disconnect blue web"),
            ("disconnect typo web", NOT_FOUND, "network typo does not exist; there are: blue"),
        ],
    );
    host.zubi("disconnect blue web").ok();
}

fn reserved_words_are_no_sandboxes() {
    let host = blue();
    refused(
        &host,
        &[
            ("sandbox add host", USAGE, "means this machine itself"),
            ("sandbox add c1 none", USAGE, "means no network"),
            ("connect blue host", NOT_FOUND, "host is this machine itself"),
        ],
    );
    assert!(!host.zubi("connect blue host").fails(NOT_FOUND, "").err.contains("sandbox add host"));
}

fn addresses_may_have_the_length_of_their_subnet() {
    let host = blue();
    host.zubi("sandbox add c1").ok();
    refused(
        &host,
        &[
            ("connect blue c1 --ip 10.55.66.5/16", USAGE, "has another length than 10.55.66.0/24"),
            ("run --network blue --ip 10.55.66.5/16 true", USAGE, "write 10.55.66.5"),
            ("connect blue c1 --ip seven", USAGE, "`seven`"),
        ],
    );
    assert_eq!(host.connect("blue c1 --ip 10.55.66.5/24 --ip6 fd00:55::5/64"), "10.55.66.5");
}

fn a_gateway_with_a_length_gives_the_subnet() {
    let host = Host::new(ZUBI);
    host.zubi("network create blue --gateway 192.168.9.1/24").ok();
    let config = &host.zubi("network inspect blue").ok().json()[0]["IPAM"]["Config"];
    assert_eq!(config[0], json!({"Subnet": "192.168.9.0/24", "Gateway": "192.168.9.1"}));
    host.zubi("network create green --gateway 10.1.0.1/24 --subnet 10.1.0.0/24").ok();
    refused(
        &host,
        &[
            ("network create x --gateway 10.2.0.1", USAGE, "--gateway needs --subnet"),
            ("network create x --gateway 10.2.0.1/16 --subnet 10.2.0.0/24", USAGE, "another length than 10.2.0.0/24"),
            ("network create x --gateway 10.3.0.1/24 --subnet 10.2.0.0/24", USAGE, "is not inside 10.2.0.0/24"),
        ],
    );
}

fn public_subnets_get_a_note() {
    let host = Host::new(ZUBI);
    let answer = host.zubi("network create blue --subnet 8.8.8.0/24").ok();
    assert!(answer.err.contains("8.8.8.0/24 are public addresses"), "{}", answer.err);
    let answer = host.zubi("network create green --subnet 10.1.0.0/24").ok();
    assert!(!answer.err.contains("public"), "{}", answer.err);
}

fn ls_fits_80_columns_and_tells_the_state() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24 --subnet fd00:55::/64");
    host.container("web", "blue");
    host.zubi("port add blue web 8080:80").ok();
    let listed = host.zubi("ls").ok().out;
    assert!(listed.lines().all(|line| line.chars().count() <= 80), "{listed}");
    assert!(!listed.contains('\x1b'), "{listed}");
    let device = host.shell("ip -n web -br link show eth0").ok().out;
    let device = device.split_whitespace().next().expect("name");
    assert!(listed.contains(" up ") && listed.contains(device), "{device} {listed}");
    let wide = host.zubi("ls --wide").ok().out;
    let host_device = host.shell("ip -br link show master zb-blue").ok().out;
    assert!(wide.contains(host_device.split_whitespace().next().expect("name")), "{host_device} {wide}");
    let state = || host.zubi("--json ls").ok().json()[0]["state"].clone();
    assert_eq!(state(), "up");
    host.shell("ip -n web link set eth0 down").ok();
    // The kernel tells the other end of a lost carrier later (linkwatch), up to a second under load.
    host.wait_for(&format!("{ZUBI} --json ls | grep -q '\"state\": \"down\"'"));
    host.shell("ip -n web link del eth0").ok();
    assert_eq!(state(), "gone");
}

fn states_and_errors_are_coloured_on_a_terminal_only() {
    let host = blue();
    host.container("web", "blue");
    if host.shell("script --version").code != 0 {
        return skip("states_and_errors_are_coloured_on_a_terminal_only", "needs script (bsdutils)");
    }
    let on_terminal = |variable: &str, words: &str| {
        host.shell(&format!("{variable} TERM=xterm script -qc '{ZUBI} {words}' /dev/null </dev/null")).out
    };
    assert!(on_terminal("", "ls").contains("\x1b[32mup\x1b[0m"));
    assert!(on_terminal("", "frob").contains("\x1b[1;31mzubi:\x1b[0m no command frob"));
    assert!(!on_terminal("NO_COLOR=1", "ls").contains('\x1b'));
    assert!(!on_terminal("NO_COLOR=1", "frob").contains('\x1b'));
}

/// What bash offers behind this line.
fn offered(host: &Host, line: &str) -> Vec<String> {
    let script = format!(
        "source <({ZUBI} completions bash); PATH={}:$PATH; COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; \
         compopt() {{ :; }}; _zubi; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        std::path::Path::new(ZUBI).parent().expect("folder").display()
    );
    std::fs::write("/run/complete.sh", script).expect("script");
    let mut words: Vec<String> = host.shell("bash /run/complete.sh").ok().out.lines().map(str::to_owned).collect();
    words.retain(|word| !word.is_empty());
    words.sort();
    words
}

fn bash_completes_names() {
    let host = blue();
    host.network("green --subnet 10.2.0.0/24");
    host.zubi("sandbox add web db").ok();
    host.zubi("connect blue web -p 8080:80").ok();
    host.zubi("link web:wire db:wire").ok();
    for (line, words) in [
        ("zubi network rm ", "blue green"),
        ("zubi network rm b", "blue"),
        ("zubi connect ", "blue green"),
        ("zubi connect blue ", "db web"),
        ("zubi disconnect blue ", "web"),
        ("zubi sandbox rm d", "db"),
        ("zubi run --network g", "green"),
        ("zubi run --network=g", "green"),
        ("zubi link rm web:", "wire"),
        ("zubi port rm blue web ", "8080:80/tcp"),
        ("zubi network create --dri", "--driver"),
        ("zubi netw", "network"),
        ("zubi completions f", "fish"),
    ] {
        assert_eq!(offered(&host, line).join(" "), words, "{line}");
    }
    let bare = offered(&host, "zubi ");
    assert!(bare.contains(&"connect".to_owned()) && bare.iter().all(|w| !w.starts_with('-')), "{bare:?}");
}

fn fish_and_zsh_complete_names() {
    const TEST: &str = "fish_and_zsh_complete_names";
    let host = blue();
    host.zubi("sandbox add web").ok();
    host.shell(&format!("mkdir /run/bin && ln -s {ZUBI} /run/bin/zubi")).ok();
    host.shell(&format!("{ZUBI} completions fish > /run/zubi.fish; {ZUBI} completions zsh > /run/zubi.zsh")).ok();
    let fish = "export PATH=/run/bin:$PATH; fish -c 'source /run/zubi.fish; complete -C \"zubi connect blue w\"'";
    if host.shell("fish --version").code == 0 {
        assert_eq!(host.shell(fish).ok().out, "web\n");
    } else {
        skip(TEST, "needs fish");
    }
    // Without its completion system: only what the script hands over is looked at.
    let zsh = "PATH=/run/bin:$PATH; compdef() { :; }; _describe() { print -l $candidates; }; source /run/zubi.zsh; \
               words=(zubi network rm b); CURRENT=4; _zubi";
    if host.shell("zsh --version").code == 0 {
        std::fs::write("/run/complete.zsh", zsh).expect("script");
        assert_eq!(host.shell("zsh -f /run/complete.zsh").ok().out, "blue:10.55.66.0/24, fd00:55::/64\n");
    } else {
        skip(TEST, "needs zsh");
    }
}

fn man_pages_have_the_usual_sections() {
    let host = Host::new(ZUBI);
    host.shell(&format!("mkdir /run/man && {ZUBI} man /run/man")).ok();
    let page = std::fs::read_to_string("/run/man/zubi-network-create.1").expect("page");
    for section in ["EXAMPLES", "FILES", "EXIT STATUS", "SEE ALSO"] {
        assert!(page.contains(&format!(".SH \"{section}\"")), "{section} is not in {page}");
    }
    let main = std::fs::read_to_string("/run/man/zubi.1").expect("page");
    assert!(main.contains("zubi man /usr/local/share/man/man1"), "{main}");
}

fn completion_changes_nothing_and_is_quiet_without_rights() {
    let host = Host::new(ZUBI);
    let before = Snapshot::take();
    assert_eq!(host.zubi("__complete -- network rm ''").ok().err, "");
    host.shell(&format!("setpriv --bounding-set -all --inh-caps -all {ZUBI} __complete -- network rm ''")).ok();
    assert!(before == Snapshot::take(), "completion changed something");
}

zubi_lab::tests!(
    the_driver_bridge_is_accepted_and_others_are_refused_by_name,
    docker_s_options_of_a_bridge_are_ours,
    network_connect_and_disconnect_are_connect_and_disconnect,
    network_ls_knows_quiet_filters_and_formats,
    network_inspect_prints_fields,
    inspect_has_docker_s_order_and_names,
    network_rm_with_force_disconnects_first,
    the_plan_of_network_rm_with_force_disconnects_first_and_does_what_it_says,
    several_names_are_all_or_nothing,
    several_sandboxes_are_made_at_once,
    ps_exec_and_port_are_answered,
    version_and_info_are_answered,
    commands_that_zubi_does_not_have_say_what_to_use,
    errors_in_json_have_no_usage_text,
    run_takes_docker_s_options_for_a_terminal,
    run_refuses_before_any_effect,
    swapped_words_are_noticed,
    reserved_words_are_no_sandboxes,
    addresses_may_have_the_length_of_their_subnet,
    a_gateway_with_a_length_gives_the_subnet,
    public_subnets_get_a_note,
    ls_fits_80_columns_and_tells_the_state,
    states_and_errors_are_coloured_on_a_terminal_only,
    bash_completes_names,
    fish_and_zsh_complete_names,
    man_pages_have_the_usual_sections,
    completion_changes_nothing_and_is_quiet_without_rights,
);
