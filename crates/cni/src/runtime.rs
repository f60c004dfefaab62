//! What the runtime sets for one attachment: `runtimeConfig`, `args.cni` and `CNI_ARGS`.

use crate::args::{self, AddressWish};
use crate::environment::Environment;
use crate::error::CniError;
use crate::fields::{Fields, Reason, shown};
use zubi_model::{Alias, Invalid, Mac, MacWish};

/// The three places, the strongest first: `runtimeConfig`, `args.cni`, `CNI_ARGS`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Runtime<'a> {
    config: Option<Fields<'a>>,
    cni_args: Option<Fields<'a>>,
    args: args::Args,
}

/// Requested addresses, and the key that requests them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The addresses.
    pub ips: Vec<AddressWish>,
    /// The key, for errors.
    pub key: &'static str,
}

impl<'a> Runtime<'a> {
    /// Reads all three.
    pub fn read(config: &Fields<'a>, env: &Environment) -> Result<Self, CniError> {
        Ok(Runtime {
            config: config.object("runtimeConfig")?,
            cni_args: args::of_config(config)?,
            args: args::read(env)?,
        })
    }

    /// `runtimeConfig` itself.
    pub fn config(&self) -> Option<&Fields<'a>> {
        self.config.as_ref()
    }

    /// `args.cni` of the configuration.
    pub fn cni_args(&self) -> Option<&Fields<'a>> {
        self.cni_args.as_ref()
    }

    /// `CNI_ARGS`.
    pub fn args(&self) -> &args::Args {
        &self.args
    }

    /// The requested MAC.
    pub fn mac(&self) -> Result<Option<Mac>, CniError> {
        for fields in [&self.config, &self.cni_args].into_iter().flatten() {
            if let Some(mac) = fields.parsed("mac")? {
                return Ok(Some(mac));
            }
        }
        Ok(self.args.mac)
    }

    /// The requested MAC as a wish; without one the MAC follows from the address.
    pub fn mac_wish(&self) -> Result<MacWish, CniError> {
        Ok(self.mac()?.map_or(MacWish::FromAddress, MacWish::Given))
    }

    /// The requested addresses.
    pub fn ips(&self) -> Result<Wanted, CniError> {
        let places = [(&self.config, "runtimeConfig.ips"), (&self.cni_args, "args.cni.ips")];
        for (fields, key) in places {
            let Some(fields) = fields else { continue };
            let ips = args::addresses(fields, "ips")?;
            if !ips.is_empty() {
                return Ok(Wanted { ips, key });
            }
        }
        Ok(Wanted { ips: self.args.ips.clone(), key: "CNI_ARGS IP" })
    }

    /// Further names of the container.
    pub fn aliases(&self) -> Result<Vec<Alias>, CniError> {
        let Some(config) = &self.config else { return Ok(Vec::new()) };
        let read =
            |text: &str| text.parse().map_err(|e: Invalid| CniError::config(config.name("aliases"), text, e.reason()));
        config.texts("aliases")?.into_iter().map(read).collect()
    }

    /// Refuses bandwidth limits, which zubi does not enforce.
    pub fn no_bandwidth(&self) -> Result<(), CniError> {
        let Some(bandwidth) = self.config.as_ref().map(|c| c.object("bandwidth")).transpose()?.flatten() else {
            return Ok(());
        };
        for key in ["ingressRate", "ingressBurst", "egressRate", "egressBurst"] {
            let Some(value) = bandwidth.get(key) else { continue };
            if value.as_f64() != Some(0.0) {
                let why = "limits are not kept yet: add the bandwidth plug-in to the list, or take the capability away";
                return Err(CniError::unsupported(bandwidth.name(key), shown(value), why));
            }
        }
        Ok(())
    }
}
