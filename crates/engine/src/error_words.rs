//! Phrases of the error messages.

use zubi_model::{NetworkName, PublishedPort};

pub(crate) fn how_many_devices(n: usize) -> String {
    if n == 1 { "1 device".into() } else { format!("{n} devices") }
}

pub(crate) fn some_of(all: &[String]) -> String {
    const MOST: usize = 6;
    let more = if all.len() > MOST { ", ..." } else { "" };
    format!("{}{more}", all.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", "))
}

pub(crate) fn those_there(known: &[NetworkName]) -> String {
    if known.is_empty() {
        return "; zubi network create makes one".into();
    }
    let names: Vec<_> = known.iter().take(12).map(NetworkName::as_str).collect();
    format!("; there are: {}", names.join(", "))
}

pub(crate) fn those_linked(known: &[String]) -> String {
    if known.is_empty() { "; there are no links".into() } else { format!("; there are: {}", some_of(known)) }
}

pub(crate) fn those_named(there: &[String]) -> String {
    if there.is_empty() { String::new() } else { format!("; there are: {}", some_of(there)) }
}

pub(crate) fn published(there: &[PublishedPort]) -> String {
    if there.is_empty() {
        return "; nothing is".into();
    }
    let ports: Vec<String> = there.iter().map(ToString::to_string).collect();
    format!("; published are: {}", ports.join(", "))
}

pub(crate) fn in_place_of_change(name: &NetworkName, attached: &[String]) -> String {
    if attached.is_empty() {
        return format!("; remove the network (zubi network rm {name}) and create it again");
    }
    format!(
        ": {} attached with addresses and ports of it: {}; create another network, connect them to it and disconnect \
         them from {name}",
        how_many(attached.len()),
        attached.join(", ")
    )
}

pub(crate) fn how_many(n: usize) -> String {
    if n == 1 { "1 endpoint is".into() } else { format!("{n} endpoints are") }
}

/// What a person who typed an image's name has to know.
pub(crate) fn no_images(source: &std::io::Error) -> &'static str {
    if source.kind() == std::io::ErrorKind::NotFound {
        "; zubi has no images, it runs programs of this host"
    } else {
        ""
    }
}

/// The kind of a device: `a veth`. Devices of drivers for hardware, and the loopback device, have none.
pub(crate) fn a_kind(kind: Option<&str>) -> String {
    kind.map_or_else(|| "a device of hardware or of the kernel's own".to_owned(), |kind| format!("a {kind}"))
}
