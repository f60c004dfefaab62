//! The whole command line.

use crate::{AddressWord, Error, mac_of_text};
use zubi_model::{IfName, Invalid, Mac, MacWish};

/// The name of the device inside when the command line gives none.
const INSIDE: &str = "eth1";

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Wait until the device of this container is there.
    Wait {
        /// The device.
        ifname: IfName,
    },
    /// Run a program of the host in the network of a guest.
    Run {
        /// Which.
        tool: Tool,
        /// The guest, in the user's words.
        guest: String,
        /// The words for the program.
        words: Vec<String>,
    },
    /// Plug a guest in.
    Attach(Box<Attach>),
}

/// A program that is run in the network of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// `ip route`.
    Route,
    /// `ip rule`.
    Rule,
    /// `tc`.
    Tc,
}

impl Tool {
    /// The program, with its first words.
    pub fn program(self) -> &'static [&'static str] {
        match self {
            Tool::Route => &["ip", "route"],
            Tool::Rule => &["ip", "rule"],
            Tool::Tc => &["tc"],
        }
    }
}

/// The interface of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostInterface {
    /// By its name: a bridge, a network card, or a name that begins with `br` for a bridge to be made.
    Named(IfName),
    /// `mac:ADDRESS`: the network card with this MAC, whatever its name.
    WithMac(Mac),
}

/// A guest to be plugged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attach {
    /// Where.
    pub host: HostInterface,
    /// `--direct-phys`: the card itself goes into the guest.
    pub direct: bool,
    /// The name of the device inside.
    pub ifname: IfName,
    /// `-l`: the name of its end on the host.
    pub local: Option<IfName>,
    /// The guest, in the user's words.
    pub guest: String,
    /// Its address.
    pub address: AddressWord,
    /// Its MAC.
    pub mac: MacWish,
    /// The VLAN.
    pub vlan: Option<u16>,
}

/// Understands a command line, without the program's name.
pub fn parse(words: &[String]) -> Result<Request, Error> {
    let mut words = words.iter().map(String::as_str).peekable();
    let Some(first) = words.next() else { return Err(Error::TooFew) };
    if first == "--wait" {
        let ifname = option(&mut words, "-i")?;
        return Ok(Request::Wait { ifname: ifname.map_or_else(|| INSIDE.parse(), Ok)? });
    }
    // The script takes any first word that begins so, and a bridge `route66` can have no guests.
    let tool = match first {
        "route" => Some(Tool::Route),
        "rule" => Some(Tool::Rule),
        "tc" => Some(Tool::Tc),
        _ => None,
    };
    if let Some(tool) = tool {
        let guest = words.next().ok_or(Error::TooFew)?.to_owned();
        return Ok(Request::Run { tool, guest, words: words.map(str::to_owned).collect() });
    }
    let (direct, host) = match first {
        "--direct-phys" => (true, words.next().ok_or(Error::TooFew)?),
        host => (false, host),
    };
    let host = match host.strip_prefix("mac:") {
        Some(mac) => HostInterface::WithMac(mac.parse()?),
        None => HostInterface::Named(host.parse()?),
    };
    // The script has a fixed order. Any order is clear.
    let (mut ifname, mut local) = (None, None);
    loop {
        if let Some(name) = option(&mut words, "-i")? {
            ifname = Some(name);
        } else if let Some(name) = option(&mut words, "-l")? {
            local = Some(name);
        } else if words.peek() == Some(&"-a") {
            words.next();
            let family = words.next().ok_or(Error::TooFew)?;
            if !["inet", "inet6"].contains(&family) {
                let why = "is not a family";
                return Err(Invalid::new("-a", family, why).try_instead("write inet or inet6").into());
            }
        } else {
            break;
        }
    }
    let guest = words.next().ok_or(Error::TooFew)?.to_owned();
    let address = words.next().ok_or(Error::TooFew)?.parse()?;
    let (mac, vlan) = mac_and_vlan(words.next().unwrap_or_default())?;
    if let Some(more) = words.next() {
        return Err(Invalid::new("word", more, "is one too many").into());
    }
    let ifname = ifname.map_or_else(|| INSIDE.parse(), Ok)?;
    Ok(Request::Attach(Box::new(Attach { host, direct, ifname, local, guest, address, mac, vlan })))
}

fn option<'w>(
    words: &mut std::iter::Peekable<impl Iterator<Item = &'w str>>,
    name: &str,
) -> Result<Option<IfName>, Error> {
    if words.peek() != Some(&name) {
        return Ok(None);
    }
    words.next();
    Ok(Some(words.next().ok_or(Error::TooFew)?.parse()?))
}

/// `02:00:00:00:00:01`, `U:TEXT`, `@10`, or a MAC and a VLAN.
fn mac_and_vlan(word: &str) -> Result<(MacWish, Option<u16>), Error> {
    let (mac, vlan) = match word.rsplit_once('@') {
        Some((mac, vlan)) => (mac, Some(vlan)),
        None => (word, None),
    };
    let mac = match (mac, mac.strip_prefix("U:")) {
        ("", _) => MacWish::Random,
        (_, Some(text)) => MacWish::Given(mac_of_text(text)?),
        (mac, None) => MacWish::Given(mac.parse()?),
    };
    let vlan = match vlan {
        None => None,
        Some(text) => match text.parse::<u16>() {
            Ok(vlan @ 1..=4094) => Some(vlan),
            _ => return Err(Invalid::new("VLAN", text, "is not a number from 1 to 4094").into()),
        },
    };
    Ok((mac, vlan))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Request, Error> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn attach(line: &str) -> Attach {
        match read(line).unwrap() {
            Request::Attach(attach) => *attach,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_lines_of_the_scripts_own_pages_are_read() {
        let simple = attach("br1 apache1 192.168.1.1/24");
        assert_eq!((simple.host, simple.guest.as_str()), (HostInterface::Named("br1".parse().unwrap()), "apache1"));
        assert_eq!((simple.ifname.as_str(), simple.mac, simple.vlan), ("eth1", MacWish::Random, None));
        let named = attach("br1 -i eth2 -l vlocal -a inet mysql1 192.168.1.2/24@192.168.1.254 26:2e:71:98:60:8f");
        assert_eq!((named.ifname.as_str(), named.local.unwrap().as_str()), ("eth2", "vlocal"));
        assert_eq!(named.mac, MacWish::Given("26:2e:71:98:60:8f".parse().unwrap()));
        let text = attach("br1 myapp dhcp U:myhost.foo.com");
        assert_eq!(text.mac, MacWish::Given("02:72:6c:cd:9b:8d".parse().unwrap()));
        assert_eq!(text.address, AddressWord::Dhcp { passed_over: None });
        assert_eq!(attach("ovsbr0 web 192.168.4.25/20 @10").vlan, Some(10));
        assert_eq!(attach("eth3 web 0/0 U:a@10").vlan, Some(10));
        assert!(attach("--direct-phys eth1 web 192.168.1.2/24").direct);
        let by_mac = attach("mac:00:11:22:33:44:55 web 192.168.1.2/24");
        assert_eq!(by_mac.host, HostInterface::WithMac("00:11:22:33:44:55".parse().unwrap()));
        assert_eq!(read("--wait -i eth0").unwrap(), Request::Wait { ifname: "eth0".parse().unwrap() });
        let run = read("route web add 10.0.5.6/32 via 192.168.2.1").unwrap();
        let words = ["add", "10.0.5.6/32", "via", "192.168.2.1"].map(str::to_owned).to_vec();
        assert_eq!(run, Request::Run { tool: Tool::Route, guest: "web".into(), words });
    }

    #[test]
    fn what_cannot_be_understood_is_named_and_missing_words_print_the_syntax() {
        for few in ["", "br1", "br1 web", "br1 -i", "br1 -i eth1 web", "--direct-phys", "route", "br1 -a"] {
            assert_eq!(read(few), Err(Error::TooFew), "{few}");
        }
        for (bad, word) in [
            ("br1 web 10.0.0.1", "10.0.0.1"),
            ("br1 web 10.0.0.1/24 xx", "xx"),
            ("br1 web 10.0.0.1/24 @0", "`0`"),
            ("br1 web 10.0.0.1/24 @4095", "4095"),
            ("br1 -a ipx web 10.0.0.1/24", "ipx"),
            ("mac:1 web 10.0.0.1/24", "1"),
            ("br1 web 10.0.0.1/24 02:00:00:00:00:01 more", "more"),
            ("this-name-is-too-long web 10.0.0.1/24", "this-name-is-too-long"),
        ] {
            let said = read(bad).unwrap_err().to_string();
            assert!(said.contains(word) && !said.contains("Syntax"), "{bad}: {said}");
        }
    }
}
