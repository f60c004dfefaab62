//! What attaching and detaching should come to.

use super::{Rows, find};
use crate::contender::{Kind, Publish, Removal};
use crate::launch::Cost;
use crate::report::{Findings, Verdict};
use crate::sample::{number, ratio};

pub(super) fn judge(rows: &Rows, findings: &mut Findings) {
    let floor = Kind::Floor(Removal::Unplugged);
    let ported = Kind::Spawned(Publish::OnePort);
    let plain = Kind::Spawned(Publish::Nothing);
    let sizes: Vec<u16> = rows.iter().filter(|(_, kind, _)| *kind == floor).map(|(size, ..)| *size).collect();
    let (Some(first), Some(last)) = (sizes.first().copied(), sizes.last().copied()) else { return };
    let has_port = find(rows, first, &ported).is_some();
    let (spawned, words) = if has_port { (ported, "with one port") } else { (plain, "without port") };
    let attach = |size, kind: &Kind| find(rows, size, kind).and_then(|row| row.attach.median());
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
    let verdict = Verdict::at_most(worst, Some(1.5));
    findings.goal("attach in process at most 1.5 x the raw kernel", listed(&ratios, " x"), verdict);

    let (one, raw) = (attach(first, &spawned), attach(first, &floor));
    let limit = raw.map(|raw| raw * 6.0);
    findings.goal(
        format!("`zubi connect`, {words}, at most 3 ms where the raw kernel takes 0.5 ms"),
        format!("{} ms, limit {} ms (raw {} ms)", number(one), number(limit), number(raw)),
        Verdict::at_most(one, limit),
    );
    let growth = |kind: &Kind| Some(attach(last, kind)? - attach(first, kind)?);
    let (grows, raw_grows) = (growth(&spawned), growth(&floor));
    findings.goal(
        format!("from {first} to {last} existing it grows at most by 1.5 x what the raw kernel grows"),
        format!("{} ms, raw {} ms", number(grows), number(raw_grows)),
        Verdict::at_most(grows, raw_grows.map(|raw| raw * 1.5)),
    );
    let (returns, slowest) = over(&|size| find(rows, size, &spawned)?.detach.median());
    findings.goal("`zubi disconnect` returns in 4 ms", listed(&returns, " ms"), Verdict::at_most(slowest, Some(4.0)));
    let (gone, most) = over(&|size| find(rows, size, &spawned)?.gone.p90());
    let (_, slowest) = over(&|size| find(rows, size, &spawned)?.gone.largest());
    findings.goal(
        "100 ms later the kernel's objects are gone, and the last process (nine times of ten)",
        format!("{}; slowest of all {} ms", listed(&gone, " ms"), number(slowest)),
        Verdict::at_most(most, Some(100.0)),
    );
    let cost = |size| find(rows, size, &spawned).map(|row| row.cost);
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let (started, most) = over(&|size| cost(size).map(|[attach, _]| attach.started as f64));
    findings.goal("no process started on attach", listed(&started, ""), Verdict::at_most(most, Some(0.0)));
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let peak = |[a, d]: [Cost; 2]| a.peak_kib.max(d.peak_kib) as f64 / 1024.0;
    let (peaks, most) = over(&|size| cost(size).map(peak));
    findings.goal("peak memory at most 6 MB", listed(&peaks, " MB"), Verdict::at_most(most, Some(6.0)));
}
