//! Errors, and refusals in the form that the engine expects.

use crate::Interface;
use zubi_model::Invalid;

/// The reason why a request is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The body has no bytes. An engine that sends a request again after a broken connection has used up its body.
    #[error("the request has no body; try the command again")]
    Empty,
    /// The body is no JSON object, or is too long.
    #[error("cannot read the request: {0}")]
    Unreadable(String),
    /// A field has another type than the protocol says.
    #[error("{field} is not {wanted}")]
    Type {
        /// The field, as in `Interface.Address`.
        field: String,
        /// As in `a text`.
        wanted: &'static str,
    },
    /// A required field is missing.
    #[error("{0} is missing")]
    Missing(String),
    /// A value is invalid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The network has more subnets of one family than a zubi network can have.
    #[error("a network has at most one subnet of each family; make a second network for {0}")]
    SecondSubnet(ipnet::IpNet),
    /// Options that cannot be combined.
    #[error("-o {option}: {why}")]
    Option {
        /// The option, as it was given.
        option: String,
        /// What is wrong with it, with the next step.
        why: String,
    },
    /// A part of the protocol that is for swarm.
    #[error("zubi's networks are of one host, not of a swarm: leave out --scope swarm")]
    Swarm,
}

impl Error {
    pub(crate) fn option(option: impl Into<String>, why: impl Into<String>) -> Self {
        Error::Option { option: option.into(), why: why.into() }
    }
}

/// A request that has no intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such method: the engine takes a 404 for "not implemented".
    Unknown,
    /// The method is known, and its request is wrong.
    Wrong {
        /// Whose form the answer has.
        interface: Interface,
        /// What is wrong.
        error: Error,
    },
}
