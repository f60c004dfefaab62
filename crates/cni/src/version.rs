//! Versions of the specification.

use std::fmt;
use std::str::FromStr;

/// A supported version of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 0.1.0, also for a request without a version.
    V0_1_0,
    /// 0.2.0
    V0_2_0,
    /// 0.3.0: several addresses, interfaces in results, chains.
    V0_3_0,
    /// 0.3.1
    V0_3_1,
    /// 0.4.0: CHECK.
    V0_4_0,
    /// 1.0.0: addresses without the number of their family.
    V1_0_0,
    /// 1.1.0: GC and STATUS.
    V1_1_0,
}

impl Version {
    /// All supported versions, oldest first.
    pub const ALL: [Version; 7] = [
        Version::V0_1_0,
        Version::V0_2_0,
        Version::V0_3_0,
        Version::V0_3_1,
        Version::V0_4_0,
        Version::V1_0_0,
        Version::V1_1_0,
    ];

    /// The newest supported version.
    pub const NEWEST: Version = Version::V1_1_0;

    /// The version as documents write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::V0_1_0 => "0.1.0",
            Version::V0_2_0 => "0.2.0",
            Version::V0_3_0 => "0.3.0",
            Version::V0_3_1 => "0.3.1",
            Version::V0_4_0 => "0.4.0",
            Version::V1_0_0 => "1.0.0",
            Version::V1_1_0 => "1.1.0",
        }
    }

    /// Whether results hold at most one address of each family and no interfaces.
    pub(crate) fn is_single(self) -> bool {
        self <= Version::V0_2_0
    }
}

/// The text is no supported version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsupported;

impl FromStr for Version {
    type Err = Unsupported;
    fn from_str(text: &str) -> Result<Self, Unsupported> {
        Self::ALL.into_iter().find(|v| v.as_str() == text).ok_or(Unsupported)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
