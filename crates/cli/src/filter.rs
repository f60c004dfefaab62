//! `network ls --filter`: Docker's filters.

use std::str::FromStr;
use zubi_model::Network;

/// One filter. Filters of one kind are alternatives, filters of several kinds must all fit, as in Docker.
#[derive(Debug, Clone)]
pub(crate) struct NetworkFilter {
    key: Key,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Name,
    Id,
    Driver,
    Label,
    Scope,
}

impl FromStr for NetworkFilter {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let Some((key, value)) = text.split_once('=') else {
            return Err("is no filter; write name=PART".into());
        };
        let key = match key {
            "name" => Key::Name,
            "id" => Key::Id,
            "driver" => Key::Driver,
            "label" => Key::Label,
            "scope" => Key::Scope,
            _ => return Err("is no filter here; there are: name, id, driver, label, scope".into()),
        };
        Ok(NetworkFilter { key, value: value.to_owned() })
    }
}

impl NetworkFilter {
    fn fits(&self, network: &Network) -> bool {
        match self.key {
            Key::Name => network.name.as_str().contains(&self.value),
            Key::Id => network.id.as_str().contains(&self.value),
            Key::Driver => network.driver.kind().to_string() == self.value,
            Key::Scope => self.value == "local",
            Key::Label => match self.value.split_once('=') {
                Some((key, value)) => network.labels.get(key).is_some_and(|has| has == value),
                None => network.labels.contains_key(&self.value),
            },
        }
    }
}

/// Whether a network fits all filters.
pub(crate) fn fits_all(filters: &[NetworkFilter], network: &Network) -> bool {
    filters.iter().all(|one| match one.key {
        // Docker wants every label.
        Key::Label => one.fits(network),
        key => filters.iter().filter(|f| f.key == key).any(|f| f.fits(network)),
    })
}
