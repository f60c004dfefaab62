//! Names of a network's endpoints: whether they have any, and who answers the rest.

use crate::serial::is_default;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Whether endpoints of a network find each other by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NameService {
    /// They do, at the host's address on the network.
    #[default]
    On,
    /// They do not, and nobody answers there.
    Off,
}

/// What becomes of questions that a network's endpoints send to other name servers, by this network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Questions {
    /// They go where they were sent.
    #[default]
    AsSent,
    /// They are led to the host's address on the network.
    Redirected,
}

/// Whether files tell the programs of a named sandbox who answers names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NameFiles {
    /// Nobody answered when its endpoint was attached.
    #[default]
    Absent,
    /// They do.
    Written,
}

/// Names of a network's endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Naming {
    /// See [`NameService`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub service: NameService,
    /// The servers that are asked for its endpoints instead of the host's; none for the host's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<IpAddr>,
    /// See [`Questions`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub questions: Questions,
}

impl Naming {
    /// No names.
    pub fn off() -> Naming {
        Naming { service: NameService::Off, ..Naming::default() }
    }
}
