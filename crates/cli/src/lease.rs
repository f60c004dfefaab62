//! `zubi lease`.

use crate::cells::shortened;
use crate::output::{Output, lines};
use crate::words::LeaseWords;
use serde_json::{Value, json};
use std::time::Duration;
use zubi_engine::{Act, Error, LeaseView, RenewWishes, Renewal, Renewed, Session};
use zubi_model::{DhcpLease, Invalid, Mtu};

/// Lists or renews leases.
pub(crate) fn lease(session: &mut Session, words: LeaseWords, output: &Output) -> Result<(), Error> {
    match words {
        LeaseWords::Ls => list(session, output),
        LeaseWords::Renew { network, sandbox, force, dhcp_timeout, .. } => {
            if output.act() == Act::Show {
                let why = "cannot be shown: what changes is for the server to say";
                return Err(Invalid::new("command", "lease renew", why).into());
            }
            let wishes = RenewWishes { force, patience: dhcp_timeout.map(|span| span.0) };
            let results = match (network, sandbox) {
                (Some(network), Some(sandbox)) => vec![session.renew_lease(&network, &sandbox, wishes)],
                _ => session.renew_leases(wishes)?,
            };
            let mut text = Vec::new();
            let mut all = Vec::new();
            let mut errors = Vec::new();
            for result in results {
                match result {
                    Ok(renewed) => {
                        text.push(words_of(&renewed));
                        all.push(json_of(&renewed));
                    }
                    // One that cannot be renewed does not keep the others from it.
                    Err(e) => errors.push(e),
                }
            }
            if errors.is_empty() || !all.is_empty() {
                output.listed(&lines(text, "no leases"), &all)?;
            }
            let last = errors.pop();
            output.notes(&errors.iter().map(ToString::to_string).collect::<Vec<_>>());
            last.map_or(Ok(()), Err)
        }
    }
}

fn list(session: &mut Session, output: &Output) -> Result<(), Error> {
    let views = session.leases()?;
    let row = |view: &LeaseView| {
        let left = view.left.map_or_else(|| "for ever".to_owned(), span);
        let lease = &view.dhcp.lease;
        vec![
            shortened(&view.holder).to_owned(),
            view.network.to_string(),
            lease.address.to_string(),
            lease.server.to_string(),
            view.state.word().to_owned(),
            left,
            list_or_dash(&lease.dns_servers),
            list_or_dash(&domains(lease)),
        ]
    };
    let json: Vec<Value> = views.iter().map(view_json).collect();
    let rows: Vec<Vec<String>> = views.iter().map(row).collect();
    output.table(&["SANDBOX", "NETWORK", "ADDRESS", "SERVER", "STATE", "LEFT", "DNS", "DOMAINS"], &rows, &json)
}

/// The domain that the client is in, and those that it searches, each once.
fn domains(lease: &DhcpLease) -> Vec<&str> {
    let mut all: Vec<&str> = Vec::new();
    for domain in lease.domain.iter().chain(&lease.search) {
        if !all.contains(&domain.as_str()) {
            all.push(domain);
        }
    }
    all
}

fn list_or_dash(values: &[impl ToString]) -> String {
    let words: Vec<String> = values.iter().map(ToString::to_string).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(",") }
}

fn view_json(view: &LeaseView) -> Value {
    let lease = &view.dhcp.lease;
    json!({
        "sandbox": view.holder,
        "network": view.network.as_str(),
        "address": lease.address.to_string(),
        "server": lease.server.to_string(),
        "state": view.state.word(),
        "seconds_left": view.left.map(|left| left.as_secs()),
        "seconds_until_renewal": view.due_in.map(|due| due.as_secs()),
        "client_id": view.dhcp.client.as_ref().map(ToString::to_string),
        "mac": view.mac.to_string(),
        "routers": lease.routers,
        "dns_servers": lease.dns_servers,
        "ntp_servers": lease.ntp_servers,
        "domain": lease.domain,
        "search": lease.search,
        "mtu": lease.mtu.map(Mtu::bytes),
        "routes": lease.routes.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn state_of(renewal: &Renewal) -> &'static str {
    match renewal {
        Renewal::NotDue => "not due yet",
        Renewal::Renewed => "renewed",
        Renewal::Anew(_) => "a new lease",
        Renewal::Unanswered => "no server answers",
        Renewal::Gone => "its sandbox or its device is gone",
    }
}

fn words_of(renewed: &Renewed) -> String {
    let Renewed { holder, network, renewal, left, .. } = renewed;
    let address = renewed.lease().map_or_else(String::new, |lease| format!(" {}", lease.address));
    let left = match (left, renewed.lease().and_then(DhcpLease::lifetime)) {
        (Some(left), _) => format!(", {} left", span(*left)),
        (None, None) if renewed.lease().is_some() => ", for ever".to_owned(),
        _ => String::new(),
    };
    format!("{holder} on {network}:{address} {}{left}", state_of(renewal))
}

fn json_of(renewed: &Renewed) -> Value {
    let Renewed { holder, network, renewal, left, .. } = renewed;
    let outcome = match renewal {
        Renewal::NotDue => "not-due",
        Renewal::Renewed => "renewed",
        Renewal::Anew(_) => "new",
        Renewal::Unanswered => "unanswered",
        Renewal::Gone => "gone",
    };
    let before = if let Renewal::Anew(Some(before)) = renewal { Some(before.to_string()) } else { None };
    json!({
        "sandbox": holder,
        "network": network.as_str(),
        "address": renewed.lease().map(|lease| lease.address.to_string()),
        "before": before,
        "outcome": outcome,
        "seconds_left": left.map(|left| left.as_secs()),
    })
}

/// A time in its two largest units.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, s) => format!("{m}m{s}s"),
        (0, h, m, _) => format!("{h}h{m}m"),
        (d, h, _, _) => format!("{d}d{h}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_told_once() {
        let lease = |domain: Option<&str>, search: &[&str]| DhcpLease {
            domain: domain.map(str::to_owned),
            search: search.iter().map(|word| (*word).to_owned()).collect(),
            ..DhcpLease::new("10.0.0.5/24".parse().unwrap(), "10.0.0.1".parse().unwrap(), zubi_model::Moment(0), None)
        };
        assert_eq!(domains(&lease(Some("lan"), &["lan", "example.org"])), ["lan", "example.org"]);
        assert_eq!(list_or_dash(&domains(&lease(None, &[]))), "-");
    }

    #[test]
    fn a_time_has_its_two_largest_units() {
        let words = |seconds| span(Duration::from_secs(seconds));
        assert_eq!(
            [words(0), words(59), words(3599), words(3661), words(90_000)],
            ["0s", "59s", "59m59s", "1h1m", "1d1h"]
        );
    }
}
