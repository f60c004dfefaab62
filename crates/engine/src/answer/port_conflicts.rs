//! Published ports that a process of the host has bound later: their traffic goes to the endpoint, not to the process.

use crate::problem::{Problem, ProblemKind, describe};
use zubi_kernel::{Listener, listeners};
use zubi_model::{Endpoint, PortHolder, PublishedPort};

/// A problem for each process that listens on a published port.
pub(crate) fn shadowed_ports(endpoints: &[Endpoint]) -> Vec<Problem> {
    let listeners = if endpoints.iter().any(|e| !e.ports.is_empty()) { listeners() } else { Vec::new() };
    let mut problems: Vec<Problem> = Vec::new();
    // Podman holds the ports that it publishes itself.
    let unheld = |e: &&Endpoint| e.traits.port_holder == PortHolder::Nobody;
    let endpoints = endpoints.iter().filter(unheld);
    for (endpoint, port) in endpoints.flat_map(|e| e.ports.iter().map(move |port| (e, port))) {
        for listener in listeners.iter().filter(|l| takes(l, endpoint, port)) {
            let process = listener.process().unwrap_or_else(|| "that cannot be seen from here".into());
            let what = format!(
                "process {process} listens at {} port {} of the host, but what is sent there goes to the published port {port}",
                listener.protocol, listener.port
            );
            let fix = format!(
                "end that process or let it listen elsewhere, or zubi port rm {} {} {port}",
                endpoint.network, endpoint.sandbox.spelled
            );
            let problem = Problem::new(ProblemKind::PortShadowed, describe(endpoint), what, fix);
            // A process may have one socket per address.
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    problems
}

fn takes(listener: &Listener, endpoint: &Endpoint, port: &PublishedPort) -> bool {
    port.host.listens(&endpoint.families()).iter().any(|at| listener.wants(port.protocol, *at, port.host_ports))
}
