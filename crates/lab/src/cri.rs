//! The CRI of a containerd, as Kubernetes calls it: pod sandboxes, many at once.
//!
//! The calls go through `cri.py`, a client of about a hundred lines that needs only Debian's gRPC for Python.

use crate::cgroups;
use crate::docker::find;
use crate::log;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const CLIENT: &str = include_str!("cri.py");
/// Debian's Python, whatever PATH says: other ones do not have Debian's modules.
const PYTHON: &str = "/usr/bin/python3";
const GRPC: &str = "/usr/lib/python3/dist-packages/grpc";

/// A client.
#[derive(Debug, Clone)]
pub struct Cri {
    socket: &'static str,
    /// The daemon's log, for the messages of failed tests.
    log: &'static str,
}

/// A pod sandbox's configuration, as Kubernetes would send it.
#[derive(Debug, Clone)]
pub struct PodConfig(Value);

/// CRI's answer, with the field names of its API, or the error text.
pub type CriResult = Result<Value, String>;

impl PodConfig {
    /// A pod of this name, in namespace `default`.
    pub fn new(name: &str) -> Self {
        let metadata = json!({ "name": name, "uid": format!("uid-{name}"), "namespace": "default", "attempt": 0 });
        let linux = json!({ "cgroup_parent": format!("/{}", cgroups::own()) });
        PodConfig(json!({ "metadata": metadata, "hostname": name, "linux": linux, "port_mappings": [] }))
    }

    /// Publishes a pod's port on a host port; `protocol` is `TCP`, `UDP` or `SCTP`.
    pub fn port(mut self, host: u16, container: u16, protocol: &str) -> Self {
        let number = ["TCP", "UDP", "SCTP"].iter().position(|known| *known == protocol).expect("a protocol");
        let port = json!({ "protocol": number, "container_port": container, "host_port": host });
        self.0["port_mappings"].as_array_mut().expect("a list").push(port);
        self
    }

    /// Adds an annotation: some of them reach the plug-ins, for instance those for bandwidth.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.0["annotations"][key] = value.into();
        self
    }
}

impl Cri {
    pub(crate) fn new(socket: &'static str, log: &'static str) -> Self {
        Cri { socket, log }
    }

    /// Why CRI cannot be used here: what is not installed.
    pub fn missing() -> Option<&'static str> {
        if find("runc").is_none() {
            return Some("runc");
        }
        let python = Path::new(PYTHON).is_file() && Path::new(GRPC).is_dir();
        (!python).then_some("python3-grpcio")
    }

    /// RunPodSandbox for all of these at once; returns their ids.
    #[track_caller]
    pub fn run(&self, pods: &[PodConfig]) -> Vec<Result<String, String>> {
        let asked = pods.iter().map(|pod| json!({ "config": pod.0 })).collect();
        let id = |answer: Value| answer["pod_sandbox_id"].as_str().expect("an id").to_owned();
        self.call("RunPodSandbox", asked).into_iter().map(|answer| answer.map(id)).collect()
    }

    /// RunPodSandbox for one pod; fails the test unless it succeeds.
    #[track_caller]
    pub fn run_one(&self, pod: &PodConfig) -> String {
        let id = self.run(std::slice::from_ref(pod)).remove(0);
        id.unwrap_or_else(|why| panic!("RunPodSandbox: {why}\n{}", log::tail(self.log)))
    }

    /// StopPodSandbox for all of these at once.
    #[track_caller]
    pub fn stop(&self, ids: &[String]) -> Vec<CriResult> {
        self.call("StopPodSandbox", by_id(ids))
    }

    /// RemovePodSandbox for all of these at once.
    #[track_caller]
    pub fn remove(&self, ids: &[String]) -> Vec<CriResult> {
        self.call("RemovePodSandbox", by_id(ids))
    }

    /// PodSandboxStatus with verbose set: `status.network.ip`, and the runtime's details in `info`.
    #[track_caller]
    pub fn status(&self, id: &str) -> CriResult {
        self.call("PodSandboxStatus", vec![json!({ "pod_sandbox_id": id, "verbose": true })]).remove(0)
    }

    /// All addresses of a sandbox, the primary one first.
    #[track_caller]
    pub fn addresses(&self, id: &str) -> Vec<String> {
        let network =
            self.status(id).unwrap_or_else(|why| panic!("PodSandboxStatus: {why}"))["status"]["network"].take();
        let further = network["additional_ips"].as_array().into_iter().flatten().map(|ip| ip["ip"].clone());
        let all = std::iter::once(network["ip"].clone()).chain(further);
        all.filter_map(|ip| ip.as_str().map(str::to_owned)).collect()
    }

    /// The process id of a sandbox, by which a test finds its namespaces.
    #[track_caller]
    pub fn pid(&self, id: &str) -> u64 {
        let status = self.status(id).unwrap_or_else(|why| panic!("PodSandboxStatus: {why}"));
        let info = status["info"]["info"].as_str().expect("info");
        let info: Value = serde_json::from_str(info).expect("JSON");
        info["pid"].as_u64().expect("a process")
    }

    /// The runtime's conditions: `RuntimeReady`, `NetworkReady`.
    #[track_caller]
    pub fn runtime_status(&self) -> CriResult {
        self.call("Status", vec![json!({})]).remove(0)
    }

    /// Calls a method with all of these messages at once; the answers are in the same order.
    #[track_caller]
    pub fn call(&self, method: &str, messages: Vec<Value>) -> Vec<CriResult> {
        let mut command = Command::new(PYTHON);
        command.args(["-", self.socket, method, &Value::Array(messages).to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{PYTHON}: {e}"));
        child.stdin.take().expect("stdin").write_all(CLIENT.as_bytes()).expect("the client's program");
        let output = child.wait_with_output().unwrap_or_else(|e| panic!("{PYTHON}: {e}"));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{method}: {complaint}");
        let answers: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
        let read = |mut answer: Value| match answer["error"].as_str() {
            Some(why) => Err(why.to_owned()),
            None => Ok(answer["answer"].take()),
        };
        answers.into_iter().map(read).collect()
    }
}

fn by_id(ids: &[String]) -> Vec<Value> {
    ids.iter().map(|id| json!({ "pod_sandbox_id": id })).collect()
}
