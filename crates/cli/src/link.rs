//! `zubi link`.

use crate::output::{Output, without_repeats};
use crate::words::{LinkCommand, LinkWords};
use serde_json::{Value, json};
use zubi_engine::{Act, Attachment, Error, Plan, Session, Unlinked};
use zubi_model::{DirectLink, LinkEnd, LinkEndRef, LinkPlace, LinkPlaceRef, LinkWishes};

/// Makes, lists or removes links.
pub(crate) fn link(session: &mut Session, words: LinkWords, output: &Output) -> Result<(), Error> {
    match (words.command, words.first, words.second) {
        (Some(LinkCommand::Ls), ..) => list(session, output),
        (Some(LinkCommand::Rm { ends }), ..) => {
            let ends = without_repeats(ends);
            if ends.len() > 1 {
                // All or nothing: look at each before the first is removed.
                for end in &ends {
                    let report = session.unlink(end, Act::Show)?;
                    refuse_typo(session, end, &report.value)?;
                }
            }
            let (mut plan, mut text, mut all) = (Plan::new(), Vec::new(), Vec::new());
            for end in &ends {
                let report = session.unlink(end, output.act())?;
                plan.append(report.plan);
                if ends.len() == 1 {
                    refuse_typo(session, end, &report.value)?;
                }
                let (said, state) = match report.value {
                    Unlinked::Gone(link) => (format!("{link}: removed"), "removed"),
                    Unlinked::WasNotLinked => (format!("{end}: was not linked"), "was-not-linked"),
                };
                text.push(said);
                all.push(json!({"end": end.to_string(), "state": state}));
            }
            output.changed(session, &plan, &text, &all)
        }
        (None, Some(first), Some(second)) => {
            let wishes = LinkWishes::new([first, second], &words.address, words.mtu)?;
            let report = session.link(&wishes, output.act())?;
            let existing = report.value.attachment == Attachment::Existing;
            let link = &report.value.link;
            let again = if existing { " (were linked already)" } else { "" };
            let text = format!("{} - {}{again}", end_text(&link.ends[0]), end_text(&link.ends[1]));
            let mut json = as_json(link);
            json["existing"] = json!(existing);
            output.changed(session, &report.plan, &[text], &json)
        }
        // The parser refuses this.
        (None, ..) => Ok(()),
    }
}

/// An end of the host that belongs to no link is a typo. One of a sandbox is not: the link goes with its sandbox, and a
/// caller that cleans up twice, or again after a crash, is to succeed.
fn refuse_typo(session: &mut Session, end: &LinkEndRef, outcome: &Unlinked) -> Result<(), Error> {
    if end.place != LinkPlaceRef::Host || matches!(outcome, Unlinked::Gone(_)) {
        return Ok(());
    }
    let views = session.links()?;
    let known = views.iter().flat_map(|view| view.link.ends.iter().map(ToString::to_string)).collect();
    Err(Error::NoLink { end: end.to_string(), known })
}

fn end_text(end: &LinkEnd) -> String {
    end.addresses.iter().fold(end.to_string(), |all, address| format!("{all} {address}"))
}

fn list(session: &mut Session, output: &Output) -> Result<(), Error> {
    let mut rows = Vec::new();
    let mut all = Vec::new();
    for view in session.links()? {
        let state = view.state.word();
        let cells = |end: &LinkEnd| {
            let addresses: Vec<String> = end.addresses.iter().map(ToString::to_string).collect();
            [end.to_string(), addresses.join(",")]
        };
        let mut row = Vec::from(cells(&view.link.ends[0]));
        row.extend(cells(&view.link.ends[1]));
        row.extend([view.link.mtu.map(|m| m.to_string()).unwrap_or_default(), state.to_owned()]);
        rows.push(row);
        let mut json = as_json(&view.link);
        json["state"] = json!(state);
        all.push(json);
    }
    let head = ["END", "ADDRESSES", "OTHER-END", "ADDRESSES", "MTU", "STATE"];
    output.table(&head, &rows, &all)
}

fn as_json(link: &DirectLink) -> Value {
    let end = |end: &LinkEnd| {
        json!({
            "place": if end.place == LinkPlace::Host { "host" } else { "sandbox" },
            "sandbox": end.place.sandbox().map(|s| s.spelled.clone()),
            "ifname": end.ifname.as_str(),
            "mac": end.mac.to_string(),
            "addresses": end.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    };
    json!({
        "id": link.id.as_str(),
        "ends": [end(&link.ends[0]), end(&link.ends[1])],
        "mtu": link.mtu.map(zubi_model::Mtu::bytes),
    })
}
