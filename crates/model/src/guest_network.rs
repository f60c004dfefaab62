//! Networks of container engines that are zubi networks.

use crate::{NetworkId, NetworkName};
use serde::{Deserialize, Serialize};

/// A network of Docker's, and the zubi network that it is. The engine does not tell what it knows about it a second time,
/// so it survives a reboot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestNetwork {
    /// The engine's number for it. A zubi network that was made for it has the same number.
    pub id: NetworkId,
    /// The zubi network.
    pub network: NetworkName,
    /// How devices inside begin: `eth`.
    pub prefix: String,
    /// The engine's name for it, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back() {
        let json = format!(r#"{{"id":"{}","network":"blue","prefix":"eth"}}"#, "5c".repeat(32));
        let guest: GuestNetwork = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&guest).unwrap(), json);
        assert_eq!(guest.name, None);
    }
}
