//! Traits: how the device of an endpoint differs from others.

use crate::serial::is_default;
use serde::{Deserialize, Serialize};

/// What a device that just came up may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DuplicateDetection {
    /// Everything, at once.
    #[default]
    Skipped,
    /// IPv6 once the kernel has found that no neighbour has its addresses (RFC 4862, 5.4).
    Awaited,
}

/// Which source MACs an endpoint may send from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceMac {
    /// Any.
    #[default]
    Any,
    /// Its own: frames from other MACs are dropped.
    Own,
}

/// Whether the inner end is switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InnerState {
    /// By zubi, with the attach.
    #[default]
    Up,
    /// Not: a program in the sandbox does it.
    Down,
}

/// Which sources packets to published ports have inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortSource {
    /// Their own, except where the answer would not come back.
    #[default]
    Preserved,
    /// Their own, always: some get no answer. A network that masquerades does so all the same.
    Untouched,
    /// The host's.
    Masqueraded,
}

/// Who keeps the host's own processes from a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortHolder {
    /// Nobody: the port was bound once, to see that it is free.
    #[default]
    Nobody,
    /// The caller, who may hold it already (Podman does).
    Caller,
}

/// What an endpoint does with router advertisements (RFC 4861).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouterAdvertisements {
    /// Nothing: anybody on the link could send them.
    #[default]
    Ignored,
    /// It makes itself addresses in the prefixes (RFC 4862), and the default route is the router's.
    Taken,
}

/// How the device of an endpoint differs from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Traits {
    /// See [`DuplicateDetection`].
    #[serde(skip_serializing_if = "is_default")]
    pub dad: DuplicateDetection,
    /// See [`SourceMac`].
    #[serde(skip_serializing_if = "is_default")]
    pub source_mac: SourceMac,
    /// See [`InnerState`].
    #[serde(skip_serializing_if = "is_default")]
    pub inner: InnerState,
    /// See [`PortSource`].
    #[serde(skip_serializing_if = "is_default")]
    pub port_source: PortSource,
    /// See [`PortHolder`].
    #[serde(skip_serializing_if = "is_default")]
    pub port_holder: PortHolder,
    /// See [`RouterAdvertisements`].
    #[serde(skip_serializing_if = "is_default")]
    pub router_advertisements: RouterAdvertisements,
    /// Of the default routes that the endpoint gives; the kernel's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
}
