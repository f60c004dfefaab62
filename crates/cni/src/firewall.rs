//! `firewall`: the ingress policy.

use crate::error::CniError;
use crate::fields::Fields;
use crate::intent::IngressPolicy;
use zubi_model::{Icc, Ingress};

/// Reads the plug-in's share. `backend` is checked and otherwise ignored.
pub(crate) fn read(config: &Fields<'_>) -> Result<IngressPolicy, CniError> {
    let backends = ["", "iptables", "firewalld", "nftables"];
    if let Some(backend) = config.text("backend")?.filter(|b| !backends.contains(b)) {
        return Err(CniError::config("backend", backend, "is none of iptables, nftables and firewalld"));
    }
    config.text("iptablesAdminChainName")?;
    config.text("firewalldZone")?;
    Ok(policy(config)?.unwrap_or(IngressPolicy { ingress: Ingress::Open, icc: None }))
}

/// Reads the policy, if the configuration has one.
pub(crate) fn policy(config: &Fields<'_>) -> Result<Option<IngressPolicy>, CniError> {
    Ok(match config.text("ingressPolicy")?.unwrap_or_default() {
        "" => None,
        "open" => Some(IngressPolicy { ingress: Ingress::Open, icc: None }),
        "same-bridge" => Some(IngressPolicy { ingress: Ingress::Published, icc: None }),
        "isolated" => Some(IngressPolicy { ingress: Ingress::Published, icc: Some(Icc::Isolated) }),
        other => {
            return Err(CniError::config("ingressPolicy", other, "is none of open, same-bridge and isolated"));
        }
    })
}
