//! Versions of the specification.

use std::fmt;
use std::str::FromStr;

/// A version of the specification that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 0.1.0: also meant when nothing is said.
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
    /// All of them, oldest first.
    pub const ALL: [Version; 7] = [
        Version::V0_1_0,
        Version::V0_2_0,
        Version::V0_3_0,
        Version::V0_3_1,
        Version::V0_4_0,
        Version::V1_0_0,
        Version::V1_1_0,
    ];

    /// The newest.
    pub const NEWEST: Version = Version::V1_1_0;

    /// As it is written.
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

    /// Whether results have at most one address a family and no interfaces.
    pub(crate) fn is_single(self) -> bool {
        self <= Version::V0_2_0
    }
}

/// A version that is not spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotSpoken;

impl FromStr for Version {
    type Err = NotSpoken;
    fn from_str(text: &str) -> Result<Self, NotSpoken> {
        Self::ALL.into_iter().find(|v| v.as_str() == text).ok_or(NotSpoken)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
