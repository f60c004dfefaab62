//! What the parts count, for Prometheus.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;
use zubi_names::Verdict;

/// What the parts have counted since the daemon started.
#[derive(Debug)]
pub(crate) struct Counts {
    registry: Registry,
    repairs: Family<OfObject, Counter>,
    failed_repairs: Family<OfObject, Counter>,
    healing: Histogram,
    came_back: Counter,
    renewals: Family<Ended, Counter>,
    questions: [Counter; ANSWERED.len()],
    elsewhere: Histogram,
    requests: Family<Request, Counter>,
    request: Family<Method, Histogram>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfObject {
    object: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    method: String,
}

/// What became of a question about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    /// It was answered out of the records.
    Here(Verdict),
    /// The answer of another server was at hand.
    Cached,
    /// Another server answered.
    Elsewhere,
    /// No other server answered.
    Failed,
    /// Too many wait for other servers already.
    Overload,
}

/// Each with its word.
const ANSWERED: [(Answered, &str); 10] = [
    (Answered::Here(Verdict::Found), "found"),
    (Answered::Here(Verdict::Empty), "empty"),
    (Answered::Here(Verdict::Unknown), "unknown"),
    (Answered::Here(Verdict::Refused), "refused"),
    (Answered::Here(Verdict::Malformed), "malformed"),
    (Answered::Here(Verdict::NotImplemented), "not_implemented"),
    (Answered::Cached, "cached"),
    (Answered::Elsewhere, "elsewhere"),
    (Answered::Failed, "failed"),
    (Answered::Overload, "overload"),
];

impl Counts {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("zubi");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version of zubi", version);
        let repairs = Family::default();
        registry.register("repairs", "What was put right, by what it belongs to", Family::clone(&repairs));
        let failed_repairs = Family::default();
        registry.register("failed_repairs", "Objects that could not be repaired", Family::clone(&failed_repairs));
        let healing = of_seconds();
        let what = "From the kernel's word to the end of the repairs";
        registry.register_with_unit("healing", what, Unit::Seconds, healing.clone());
        let came_back = Counter::default();
        registry.register("came_back", "Sandboxes that got their endpoints again", came_back.clone());
        let renewals = Family::default();
        registry.register("lease_renewals", "Renewals of DHCP leases", Family::clone(&renewals));
        let by_outcome: Family<Ended, Counter> = Family::default();
        registry.register("dns_questions", "Questions about names", by_outcome.clone());
        let questions = ANSWERED.map(|(_, outcome)| by_outcome.get_or_create_owned(&Ended { outcome }));
        let elsewhere = of_seconds();
        let what = "Until another server answered, or none did";
        registry.register_with_unit("dns_elsewhere", what, Unit::Seconds, elsewhere.clone());
        let requests = Family::default();
        registry.register("docker_requests", "Requests of Docker's", Family::clone(&requests));
        let request: Family<Method, Histogram> = Family::new_with_constructor(of_seconds);
        let what = "How long requests of Docker's took";
        registry.register_with_unit("docker_request", what, Unit::Seconds, request.clone());
        Counts {
            registry,
            repairs,
            failed_repairs,
            healing,
            came_back,
            renewals,
            questions,
            elsewhere,
            requests,
            request,
        }
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn repaired(&self, object: &'static str) {
        self.repairs.get_or_create(&OfObject { object }).inc();
    }

    pub(crate) fn could_not_repair(&self, object: &'static str) {
        self.failed_repairs.get_or_create(&OfObject { object }).inc();
    }

    pub(crate) fn healed(&self, took: Duration) {
        self.healing.observe(took.as_secs_f64());
    }

    pub(crate) fn came_back(&self) {
        self.came_back.inc();
    }

    pub(crate) fn renewed(&self, outcome: &'static str) {
        self.renewals.get_or_create(&Ended { outcome }).inc();
    }

    pub(crate) fn answered(&self, how: Answered) {
        for ((one, _), counter) in ANSWERED.iter().zip(&self.questions) {
            if *one == how {
                counter.inc();
            }
        }
    }

    pub(crate) fn asked_elsewhere(&self, took: Duration) {
        self.elsewhere.observe(took.as_secs_f64());
    }

    pub(crate) fn served_docker(&self, method: &str, outcome: &'static str, took: Duration) {
        self.requests.get_or_create(&Request { method: method.to_owned(), outcome }).inc();
        self.request.get_or_create(&Method { method: method.to_owned() }).observe(took.as_secs_f64());
    }
}

/// A millisecond, and up to half a minute.
fn of_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}
