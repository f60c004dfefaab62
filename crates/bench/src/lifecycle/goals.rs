//! The goals of attach and detach.

use super::rows::{Row, Rows, faster, find};
use crate::contender::{Door, Kind, Publish, Removal};
use crate::launch::Cost;
use crate::programs::Programs;
use crate::report::{Findings, Verdict};
use crate::sample::{Sample, number, ratio};

pub(super) fn judge(rows: &Rows, findings: &mut Findings) {
    let floor = Kind::Floor(Removal::Unplugged);
    let ported = Kind::Spawned(Publish::OnePort);
    let plain = Kind::Spawned(Publish::Nothing);
    let sizes: Vec<u16> = rows.iter().filter(|(_, kind, _)| *kind == floor).map(|(size, ..)| *size).collect();
    let (Some(first), Some(last)) = (sizes.first().copied(), sizes.last().copied()) else { return };
    let has_port = find(rows, first, &ported).is_some();
    let (spawned, words) = if has_port { (ported, "with one port") } else { (plain, "without port") };
    let attach = |size, kind: &Kind| find(rows, size, kind).and_then(|row| row.attach.median());
    let unsteady = unsteady_floor(rows);
    let over = |value: &dyn Fn(u16) -> Option<f64>| {
        let values: Vec<_> = sizes.iter().map(|size| value(*size)).collect();
        let largest = values.iter().flatten().copied().reduce(f64::max);
        (values, largest)
    };
    let listed = |values: &[Option<f64>], unit: &str| {
        let cells = values.iter().zip(&sizes).map(|(value, size)| format!("{}{unit} at {size}", number(*value)));
        cells.collect::<Vec<_>>().join(", ")
    };

    let (ratios, worst) = over(&|size| ratio(attach(size, &Kind::InProcess), attach(size, &floor)));
    let verdict = Verdict::at_most(worst, Some(1.5)).unless_busy(&unsteady);
    findings.goal("attach in process at most 1.5 x the raw kernel", listed(&ratios, " x"), verdict);

    let (one, raw) = (attach(first, &spawned), attach(first, &floor));
    let limit = raw.map(|raw| raw * 6.0);
    findings.goal(
        format!("`zubi connect`, {words}, at most 3 ms where the raw kernel takes 0.5 ms"),
        format!("{} ms, limit {} ms (raw {} ms)", number(one), number(limit), number(raw)),
        Verdict::at_most(one, limit).unless_busy(&unsteady),
    );
    let growth = |kind: &Kind| Some(attach(last, kind)? - attach(first, kind)?);
    let (grows, raw_grows) = (growth(&spawned), growth(&floor));
    findings.goal(
        format!("from {first} to {last} endpoints it grows at most 1.5 x as much as the raw kernel"),
        format!("{} ms, raw {} ms", number(grows), number(raw_grows)),
        Verdict::at_most(grows, raw_grows.map(|raw| raw * 1.5)).unless_busy(&unsteady),
    );
    let (returns, slowest) = over(&|size| find(rows, size, &spawned)?.detach.median());
    findings.goal(
        "`zubi disconnect` returns in 4 ms",
        listed(&returns, " ms"),
        Verdict::at_most(slowest, Some(4.0)).unless_busy(&unsteady),
    );
    let (gone, most) = over(&|size| find(rows, size, &spawned)?.gone.p90());
    let (_, slowest) = over(&|size| find(rows, size, &spawned)?.gone.largest());
    findings.goal(
        "100 ms later the kernel's objects and the last process are gone (nine times out of ten)",
        format!("{}; slowest of all {} ms", listed(&gone, " ms"), number(slowest)),
        Verdict::at_most(most, Some(100.0)).unless_busy(&unsteady),
    );
    let cost = |size| find(rows, size, &spawned).map(|row| row.cost);
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let (started, most) = over(&|size| cost(size).map(|[attach, _]| attach.started as f64));
    findings.goal("no process started on attach", listed(&started, ""), Verdict::at_most(most, Some(0.0)));
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let peak = |[a, d]: [Cost; 2]| a.peak_kib.max(d.peak_kib) as f64 / 1024.0;
    let (peaks, most) = over(&|size| cost(size).map(peak));
    findings.goal("peak memory at most 6 MB", listed(&peaks, " MB"), Verdict::at_most(most, Some(6.0)));
    judge_doors(rows, &sizes, findings);
}

/// The raw kernel's rounds at the first size where they are unsteady, else at the last size.
fn unsteady_floor(rows: &Rows) -> Sample {
    let floors = || rows.iter().filter(|(_, kind, _)| *kind == Kind::Floor(Removal::Unplugged)).map(|(_, _, row)| row);
    let unsteady = floors().find(|row| row.attach.is_unsteady()).or_else(|| floors().next_back());
    unsteady.map(|row| row.attach.clone()).unwrap_or_default()
}

/// The goals of zubi under the names of other programs.
fn judge_doors(rows: &Rows, sizes: &[u16], findings: &mut Findings) {
    let Some(first) = sizes.first().copied() else { return };
    let unsteady = unsteady_floor(rows);
    let (plugin, chain, netavark) = (Kind::Door(Door::Plugin), Kind::Door(Door::Chain), Kind::Door(Door::Netavark));
    let attach = |kind: &Kind| find(rows, first, kind).and_then(|row| row.attach.median());
    let (one, raw) = (attach(&plugin), attach(&Kind::Floor(Removal::Unplugged)));
    let limit = raw.map(|raw| raw * 5.0);
    findings.goal(
        "zubi as CNI: ADD with an address and a port at most 2.5 ms where the raw kernel takes 0.5 ms",
        format!("{} ms, limit {} ms (raw {} ms)", number(one), number(limit), number(raw)),
        Verdict::at_most(one, limit).unless_busy(&unsteady),
    );
    for kind in [&plugin, &chain] {
        let measured = against(rows, sizes, kind, |_| true);
        goal_of_speed(format!("{}: ADD at least 20 x faster than the plugins", kind.name()), 20.0, &measured, findings);
    }
    let packaged = |peer: &Kind| matches!(peer, Kind::Netavark(program, _) if Programs::is_packaged(program));
    let measured = against(rows, sizes, &netavark, packaged);
    goal_of_speed("zubi as netavark: setup at least 12 x faster than Debian's".into(), 12.0, &measured, findings);
    let measured = against(rows, sizes, &netavark, |peer| !packaged(peer));
    goal_of_speed("zubi as netavark: setup at least 8 x faster than a newer one".into(), 8.0, &measured, findings);
    for kind in [&plugin, &chain, &netavark] {
        let waits: Vec<_> =
            sizes.iter().map(|size| (*size, find(rows, *size, kind).and_then(|r| r.detach.median()))).collect();
        let slowest = waits.iter().filter_map(|(_, wait)| *wait).reduce(f64::max);
        let listed: Vec<_> = waits.iter().map(|(size, wait)| format!("{} ms at {size}", number(*wait))).collect();
        let words = format!("{}: DEL returns in 4 ms", kind.name());
        findings.goal(words, listed.join(", "), Verdict::at_most(slowest, Some(4.0)).unless_busy(&unsteady));
    }
}

/// By size: the ratio of a peer's ADD to ours.
fn against(rows: &Rows, sizes: &[u16], kind: &Kind, which: impl Fn(&Kind) -> bool) -> Vec<(u16, f64)> {
    let of_size = |size: u16| faster(rows, size, kind, |row: &Row| row.attach.median());
    let of_peer = |size: u16| of_size(size).into_iter().find(|(peer, _)| which(peer));
    sizes.iter().filter_map(|size| Some((*size, of_peer(*size)?.1))).collect()
}

/// Met when ours is at least `least` times as fast at every size.
fn goal_of_speed(words: String, least: f64, measured: &[(u16, f64)], findings: &mut Findings) {
    let listed: Vec<_> = measured.iter().map(|(size, n)| format!("{} x at {size}", number(Some(*n)))).collect();
    let slowest = measured.iter().map(|(_, n)| 1.0 / n).reduce(f64::max);
    let listed = if listed.is_empty() { "-".into() } else { listed.join(", ") };
    findings.goal(words, listed, Verdict::at_most(slowest, Some(1.0 / least)));
}
