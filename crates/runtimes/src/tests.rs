//! The runtimes as a whole, over a folder that stands in for a machine.

use crate::testbed::{Folder, Then};
use crate::{Container, Runtime, RuntimeError, Runtimes, StartTicks};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::time::{Duration, Instant};
use zubi_model::Pid;

const ID: &str = "3f7c58ac4445603b3030783e1c4146ebb7f17ae58f524d1cd93c8740b7eba3f7";
const OTHER_ID: &str = "3f7cd8ac4445603b3030783e1c4146ebb7f17ae58f524d1cd93c8740b7eba3f7";

fn inspected(state: &str) -> String {
    format!(r#"{{"Id":"{ID}","Created":"x","State":{{{state}}},"Name":"/web","Config":{{}}}}"#)
}

fn with_length(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into()
}

fn running() -> Vec<u8> {
    with_length("200 OK", &inspected(r#""Status":"running","Running":true,"Pid":7"#))
}

fn web(runtime: Runtime) -> Container {
    Container { runtime, id: ID.into(), name: "web".into(), pid: Pid(7), started: StartTicks(4711) }
}

impl Folder {
    fn podman_container(&self, listed: &str, pid_file: &str) {
        self.write("graph/overlay-containers/containers.json", listed);
        self.write(&format!("run/overlay-containers/{ID}/userdata/pidfile"), pid_file);
    }

    fn one_podman_container(&self) {
        self.podman_container(&format!(r#"[{{"id":"{ID}","names":["web"],"layer":"x"}}]"#), "7");
        self.process(7, 4711, &["/usr/bin/conmon", "--api-version", "1", "-c", ID]);
    }

    fn task(&self, namespace: &str, id: &str, pid: u32) {
        self.write(&format!("containerd/{namespace}/{id}/init.pid"), &pid.to_string());
        self.process(pid, 4711, &["/usr/bin/containerd-shim-runc-v2", "-namespace", namespace, "-id", id]);
    }
}

#[test]
fn docker_is_asked_by_name_and_its_process_looked_up() {
    let folder = Folder::new();
    folder.process(7, 4711, &["containerd-shim"]);
    // The daemon keeps the connection open: the stated length ends the answer.
    let request = folder.daemon("docker.sock", running(), Then::Hangs);
    assert_eq!(folder.runtimes().docker("web").unwrap(), Some(web(Runtime::Docker)));
    let request = request.recv().unwrap();
    assert!(request.starts_with("GET /containers/web/json HTTP/1.1\r\nHost: "), "{request}");
    assert!(request.contains("\r\nConnection: close\r\n"), "{request}");
}

#[test]
fn docker_may_answer_in_chunks() {
    let folder = Folder::new();
    folder.process(7, 4711, &["containerd-shim"]);
    let body = inspected(r#""Running":true,"Pid":7"#);
    let (first, second) = body.split_at(20);
    let answer = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:X}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    );
    folder.daemon("docker.sock", answer.into(), Then::Hangs);
    assert_eq!(folder.runtimes().docker("web").unwrap(), Some(web(Runtime::Docker)));
}

#[test]
fn docker_not_knowing_the_name_is_none() {
    let folder = Folder::new();
    folder.daemon(
        "docker.sock",
        with_length("404 Not Found", r#"{"message":"No such container: web"}"#),
        Then::HangsUp,
    );
    assert_eq!(folder.runtimes().docker("web").unwrap(), None);
}

#[test]
fn dockers_own_error_is_quoted() {
    let folder = Folder::new();
    let body = r#"{"message":"multiple IDs found with provided prefix: 3f7c\u001b[2J"}"#;
    folder.daemon("docker.sock", with_length("400 Bad Request", body), Then::HangsUp);
    assert_eq!(
        folder.runtimes().docker("3f7c").unwrap_err().to_string(),
        "Docker container `3f7c`: Docker answered 400: multiple IDs found with provided prefix: 3f7c\\u{1b}[2J"
    );
}

#[test]
fn a_stopped_docker_container_is_an_error_with_its_status() {
    for state in [r#""Status":"exited","Running":false,"Pid":0"#, r#""Status":"exited","Running":true,"Pid":0"#] {
        let folder = Folder::new();
        folder.daemon("docker.sock", with_length("200 OK", &inspected(state)), Then::HangsUp);
        assert_eq!(
            folder.runtimes().docker("web").unwrap_err().to_string(),
            "Docker container `web` is not running (exited); start it first"
        );
    }
}

#[test]
fn a_docker_process_that_is_not_here_is_an_error() {
    let folder = Folder::new();
    folder.daemon("docker.sock", running(), Then::HangsUp);
    assert!(matches!(folder.runtimes().docker("web"), Err(RuntimeError::Gone { pid: Pid(7), .. })));
}

#[test]
fn a_daemon_that_hangs_is_given_up() {
    let folder = Folder::new();
    for (socket, said) in [("silent.sock", ""), ("halfway.sock", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")] {
        folder.daemon(socket, said.into(), Then::Hangs);
        let runtimes = Runtimes { docker_socket: folder.0.join(socket), ..folder.runtimes() };
        let asked = Instant::now();
        assert!(matches!(runtimes.find("web"), Err(RuntimeError::Slow { seconds: 2, .. })), "{socket}");
        assert!(asked.elapsed() < Duration::from_secs(4), "{socket}");
    }
}

#[test]
fn garbage_from_a_daemon_is_an_error() {
    for answer in [
        Vec::new(),
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        vec![0xff; 4096],
        with_length("200 OK", "not json"),
        with_length("200 OK", "{}"),
        with_length("200 OK", &inspected(r#""Running":true,"Pid":-1"#)),
    ] {
        let folder = Folder::new();
        folder.daemon("docker.sock", answer.clone(), Then::HangsUp);
        let answered = folder.runtimes().docker("web");
        assert!(matches!(answered, Err(RuntimeError::Garbled { .. })), "{answered:?} to {answer:?}");
    }
}

#[test]
fn an_endless_answer_is_cut_off() {
    let folder = Folder::new();
    let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    answer.resize(17 << 20, b' ');
    folder.daemon("docker.sock", answer, Then::HangsUp);
    let message = folder.runtimes().docker("web").unwrap_err().to_string();
    assert!(message.contains("longer than 16 MiB"), "{message}");
}

#[test]
fn names_that_could_escape_are_refused_before_anything_is_asked() {
    let runtimes = Folder::new().runtimes();
    for bad in ["", "../x", "a/b", "a b", "a\r\nHost: x", "?all=1"] {
        for answer in [runtimes.docker(bad), runtimes.podman(bad), runtimes.containerd(bad)] {
            assert!(matches!(answer, Err(RuntimeError::Name(_))), "{bad:?}: {answer:?}");
        }
        assert!(matches!(runtimes.find(bad), Err(RuntimeError::Name(_))), "{bad:?}");
    }
}

#[test]
fn podman_containers_are_read_by_name_id_and_prefix() {
    let folder = Folder::new();
    folder.one_podman_container();
    let runtimes = folder.runtimes();
    for name in ["web", ID, &ID[..12], &ID[..4]] {
        assert_eq!(runtimes.podman(name).unwrap(), Some(web(Runtime::Podman)), "{name}");
    }
    for name in ["we", "webs", &ID[..3], OTHER_ID] {
        assert_eq!(runtimes.podman(name).unwrap(), None, "{name}");
    }
}

#[test]
fn a_prefix_of_several_podman_containers_is_ambiguous() {
    let folder = Folder::new();
    folder.podman_container(&format!(r#"[{{"id":"{ID}","names":["web"]}},{{"id":"{OTHER_ID}","names":["db"]}}]"#), "7");
    let Err(RuntimeError::Ambiguous { candidates, .. }) = folder.runtimes().podman("3f7c") else { panic!() };
    assert_eq!(candidates, [format!("db ({OTHER_ID})"), format!("web ({ID})")]);
}

#[test]
fn a_podman_container_without_its_process_is_not_running() {
    let folder = Folder::new();
    folder.podman_container(
        &format!(r#"[{{"id":"{ID}","names":["web"]}},{{"id":"{OTHER_ID}","names":["made"]}}]"#),
        "7\n",
    );
    let status = |name| match folder.runtimes().podman(name) {
        Err(RuntimeError::NotRunning { status, .. }) => status,
        other => panic!("{other:?}"),
    };
    assert_eq!(status("made"), "not started, or in a virtual machine");
    assert_eq!(status("web"), "exited");
    folder.process(7, 200_000, &["/usr/sbin/cron"]);
    assert_eq!(status("web"), "exited", "the number belongs to another process now");
}

#[test]
fn podmans_lists_that_are_not_lists_are_an_error() {
    let folder = Folder::new();
    folder.podman_container("{", "7");
    assert!(matches!(folder.runtimes().podman("web"), Err(RuntimeError::Garbled { .. })));
}

#[test]
fn podmans_socket_is_asked_for_what_the_store_does_not_know() {
    let folder = Folder::new();
    folder.process(7, 4711, &["/sbin/init"]);
    folder.daemon("podman.sock", running(), Then::HangsUp);
    assert_eq!(folder.runtimes().podman("web").unwrap(), Some(web(Runtime::Podman)));
}

#[test]
fn finding_connects_to_no_socket_that_could_start_a_daemon() {
    let folder = Folder::new();
    let listeners = ["docker.sock", "podman.sock"].map(|socket| UnixListener::bind(folder.0.join(socket)).unwrap());
    folder.write("docker.pid", "9");
    let runtimes = Runtimes { docker_pid_file: Some(folder.0.join("docker.pid")), ..folder.runtimes() };
    assert_eq!(runtimes.find("web").unwrap(), []);
    for listener in listeners {
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err());
    }
}

#[test]
fn containerd_tasks_are_read_from_every_namespace() {
    let folder = Folder::new();
    folder.task("default", "job.1", 7);
    folder.task("k8s.io", ID, 8);
    let runtimes = folder.runtimes();
    let found = runtimes.containerd("job.1").unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.pid, found.started), ("job.1", Pid(7), StartTicks(4711)));
    assert_eq!(runtimes.containerd(&ID[..4]).unwrap().unwrap().id, ID);
    assert_eq!(runtimes.containerd("job").unwrap(), None);
}

#[test]
fn a_task_in_two_namespaces_is_ambiguous() {
    let folder = Folder::new();
    folder.task("k8s.io", "web", 8);
    folder.task("default", "web", 7);
    assert_eq!(
        folder.runtimes().containerd("web").unwrap_err().to_string(),
        "containerd container `web`: could be default/web, k8s.io/web; give the whole id, or pid:N of the one meant"
    );
}

#[test]
fn a_task_that_ended_or_has_no_process_is_not_running() {
    let folder = Folder::new();
    folder.write("containerd/default/ended/init.pid", "7");
    folder.write("containerd/default/vm/shim.pid", "8");
    for id in ["ended", "vm"] {
        let answer = folder.runtimes().containerd(id);
        assert!(matches!(answer, Err(RuntimeError::NotRunning { .. })), "{id}: {answer:?}");
    }
}

#[test]
fn finding_passes_over_dockers_tasks_in_containerd() {
    let folder = Folder::new();
    folder.task("moby", "web", 7);
    assert_eq!(folder.runtimes().find("web").unwrap(), []);
    assert!(folder.runtimes().containerd("web").unwrap().is_some());
}

#[test]
fn finding_gives_one_container_for_each_runtime_that_has_one() {
    let folder = Folder::new();
    folder.one_podman_container();
    folder.task("default", "web", 8);
    folder.daemon("docker.sock", running(), Then::HangsUp);
    let found = folder.runtimes().find("web").unwrap();
    assert_eq!(
        found.iter().map(|one| one.runtime).collect::<Vec<_>>(),
        [Runtime::Docker, Runtime::Podman, Runtime::Containerd]
    );
}

#[test]
fn a_running_container_is_found_beside_a_stopped_one_of_that_name() {
    let folder = Folder::new();
    let stopped = with_length("200 OK", &inspected(r#""Status":"exited","Running":false,"Pid":0"#));
    folder.daemon("docker.sock", stopped, Then::HangsUp);
    folder.one_podman_container();
    assert_eq!(folder.runtimes().find("web").unwrap(), [web(Runtime::Podman)]);
}

#[test]
fn a_name_that_is_only_stopped_is_an_error() {
    let folder = Folder::new();
    folder.write("containerd/default/web/init.pid", "7");
    assert!(matches!(folder.runtimes().find("web"), Err(RuntimeError::NotRunning { .. })));
}

#[test]
fn runtimes_that_are_absent_find_nothing_and_say_so_when_named() {
    let folder = Folder::new();
    // A socket whose daemon died without removing it.
    drop(UnixListener::bind(folder.0.join("docker.sock")).unwrap());
    let runtimes = folder.runtimes();
    assert_eq!(runtimes.find("web").unwrap(), []);
    for answer in [runtimes.docker("web"), runtimes.podman("web"), runtimes.containerd("web")] {
        assert!(matches!(answer, Err(RuntimeError::NotHere { .. })), "{answer:?}");
    }
}

#[test]
fn a_container_whose_number_went_to_another_process_runs_no_more() {
    let folder = Folder::new();
    folder.one_podman_container();
    let runtimes = folder.runtimes();
    let container = runtimes.podman("web").unwrap().unwrap();
    assert!(runtimes.still_runs(&container).unwrap());
    folder.process(7, 4712, &["/usr/bin/conmon", "-c", ID]);
    assert!(!runtimes.still_runs(&container).unwrap());
}

#[test]
fn the_environment_moves_sockets_and_stores() {
    let usual = Runtimes::from_env(|_| None);
    assert_eq!(usual.docker_socket, Path::new("/var/run/docker.sock"));
    assert!(usual.docker_pid_file.is_some() && usual.podman_host.is_none());
    assert_eq!(usual.podman_stores.len(), 1);

    let moved = Runtimes::from_env(|name| {
        let value = match name {
            "DOCKER_HOST" => "unix:///run/user/7/docker.sock",
            "CONTAINER_HOST" => "unix:///tmp/podman.sock",
            "XDG_RUNTIME_DIR" => "/run/user/7",
            "HOME" => "/home/u",
            _ => return None,
        };
        Some(OsString::from(value))
    });
    assert_eq!(moved.docker_socket, Path::new("/run/user/7/docker.sock"));
    assert_eq!(moved.docker_pid_file, None);
    assert_eq!(moved.podman_host.as_deref(), Some(Path::new("/tmp/podman.sock")));
    assert_eq!(moved.podman_stores[1].graph_root, Path::new("/home/u/.local/share/containers/storage"));
    assert_eq!(moved.podman_stores[1].run_root, Path::new("/run/user/7/containers"));

    let elsewhere = Runtimes::from_env(|name| (name == "DOCKER_HOST").then(|| "tcp://far:2375".into()));
    assert_eq!(elsewhere.docker_socket, usual.docker_socket);
}

/// A monitor of LXC's that says `answer` to one request, on a socket that /proc shows.
fn monitor(folder: &Folder, name: &str, answer: [i32; 4]) {
    let socket = format!("{}/{name}/command", folder.0.display());
    let listed = "Num       RefCount Protocol Flags    Type St Inode Path\n";
    let line = |path: &str| format!("00000000cbe7d203: 00000002 00000000 00010000 0001 01 44901687 {path}\n");
    let others = line("@/elsewhere/other/command") + &line("/run/docker.sock") + &line("");
    // An open connection has the name too.
    let own = line(&format!("@{socket}")).repeat(2);
    folder.write("proc/net/unix", &format!("{listed}{others}{own}"));
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(socket).unwrap()).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 16];
        stream.read_exact(&mut request).unwrap();
        assert_eq!(request[..4], 4_i32.to_ne_bytes());
        stream.write_all(&answer.map(i32::to_ne_bytes).concat()).unwrap();
    });
}

fn named(runtime: Runtime) -> Container {
    Container { id: "web".into(), ..web(runtime) }
}

#[test]
fn the_monitor_of_an_lxc_container_tells_its_process() {
    let folder = Folder::new();
    folder.process(7, 4711, &["[lxc monitor] /var/lib/lxc web"]);
    monitor(&folder, "web", [0, 0, 7, 0]);
    assert_eq!(folder.runtimes().lxc("web").unwrap(), Some(named(Runtime::Lxc)));
}

#[test]
fn a_monitor_that_names_no_process_or_a_foreign_one_is_not_believed() {
    let folder = Folder::new();
    folder.process(7, 4711, &["[lxc monitor] /var/lib/lxc web"]);
    monitor(&folder, "web", [-3, 0, 0, 0]);
    let told = folder.runtimes().lxc("web").unwrap_err().to_string();
    assert!(told.contains("it names no process (-3)"), "{told}");
    // Nobody vouches for a process whose parent is not to be seen.
    let folder = Folder::new();
    folder.write("proc/8/stat", "8 (x) S 1000008 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 1 2 3\n");
    monitor(&folder, "web", [0, 0, 8, 0]);
    let told = folder.runtimes().lxc("web").unwrap_err().to_string();
    assert!(told.contains("is not a child of a monitor of root's or of yours"), "{told}");
}

#[test]
fn an_lxc_container_without_a_monitor_is_stopped_or_unknown() {
    let folder = Folder::new();
    folder.write("proc/net/unix", "");
    assert!(matches!(folder.runtimes().lxc("web"), Err(RuntimeError::NotHere { .. })));
    folder.write("lxc/web/config", "");
    assert!(matches!(folder.runtimes().lxc("web"), Err(RuntimeError::NotRunning { .. })));
    assert_eq!(folder.runtimes().lxc("other").unwrap(), None);
}

/// As systemd-machined 252 writes it for `systemd-nspawn --machine=web`.
const MACHINE: &str = "# This is private data. Do not parse.\nNAME=web\nSCOPE=machine-web.scope\nSERVICE=systemd-nspawn\n\
                       ROOT=/var/lib/machines/web\nID=aaaabbbbccccddddeeeeffff00001111\nLEADER=7\nCLASS=container\n\
                       REALTIME=1764500000000000\nMONOTONIC=1000000\n";

#[test]
fn a_machine_is_known_by_its_leader() {
    let folder = Folder::new();
    assert!(matches!(folder.runtimes().machine("web"), Err(RuntimeError::NotHere { .. })));
    folder.write("machines/web", MACHINE);
    assert!(matches!(folder.runtimes().machine("web"), Err(RuntimeError::Gone { .. })));
    folder.process(7, 4711, &["systemd-nspawn"]);
    let web = Container { id: "aaaabbbbccccddddeeeeffff00001111".into(), ..web(Runtime::Machine) };
    assert_eq!(folder.runtimes().machine("web").unwrap(), Some(web.clone()));
    assert_eq!(folder.runtimes().find("web").unwrap(), [web]);
    assert_eq!(folder.runtimes().machine("other").unwrap(), None);
}

#[test]
fn a_machine_without_a_leader_or_namespace_is_refused() {
    let folder = Folder::new();
    for (text, said) in [
        (MACHINE.replace("CLASS=container", "CLASS=vm"), "it is a virtual machine"),
        (MACHINE.replace("LEADER=7", "LEADER=x"), "its LEADER is no process id"),
        (MACHINE.replace("LEADER=7\n", ""), "it has no LEADER"),
    ] {
        folder.write("machines/web", &text);
        let told = folder.runtimes().machine("web").unwrap_err().to_string();
        assert!(told.contains(said), "{told}");
    }
}
