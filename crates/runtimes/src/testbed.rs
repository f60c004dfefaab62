//! A folder that stands in for a machine, and a socket that stands in for a daemon.

use crate::{PodmanStore, Runtimes};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use zubi_model::Progress;

/// A folder that is removed when the test ends.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("zubi-runtimes-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn write(&self, path: &str, content: &str) -> PathBuf {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Adds a process to `proc/`, started `ticks` after boot, whose parent has the given command line.
    pub(crate) fn process(&self, pid: u32, ticks: u64, parent: &[&str]) {
        let parent_pid = pid + 1_000_000;
        self.write(
            &format!("proc/{pid}/stat"),
            &format!("{pid} (a) (b c) S {parent_pid} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {ticks} 1 2 3\n"),
        );
        self.write(&format!("proc/{pid}/cgroup"), "0::/\n");
        self.write(&format!("proc/{parent_pid}/cmdline"), &(parent.join("\0") + "\0"));
        self.write("proc/uptime", "1000.00 1.00\n");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

impl Folder {
    /// A machine whose files are all in this folder.
    pub(crate) fn runtimes(&self) -> Runtimes {
        let at = |path: &str| self.0.join(path);
        Runtimes {
            docker_socket: at("docker.sock"),
            docker_pid_file: None,
            podman_stores: vec![PodmanStore { conf: at("storage.conf"), graph_root: at("graph"), run_root: at("run") }],
            podman_host: None,
            podman_sockets: vec![at("podman.sock")],
            containerd_state: at("containerd"),
            lxc_folder: at("lxc"),
            machines: at("machines"),
            proc: at("proc"),
            progress: Progress::default(),
        }
    }

    /// Starts a daemon that sends `answer` to one request, then hangs up or hangs. Returns the request.
    pub(crate) fn daemon(&self, socket: &str, answer: Vec<u8>, then: Then) -> Receiver<String> {
        let listener = UnixListener::bind(self.0.join(socket)).unwrap();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            // Most tests ignore the request and hold no receiver.
            drop(sender.send(String::from_utf8(request).unwrap()));
            // The client may hang up before it has the whole answer.
            let sent = stream.write_all(&answer);
            if let (Ok(()), Then::Hangs) = (sent, then) {
                // Returns when the client gives up.
                assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
            }
        });
        receiver
    }
}

/// What a daemon does after its answer.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    HangsUp,
    Hangs,
}
