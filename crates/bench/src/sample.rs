//! Repeated measurements and how they are printed.

use std::time::Duration;

/// Measurements of one quantity; whether larger is better is not known here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) const fn new() -> Self {
        Sample(Vec::new())
    }

    /// Adds a time in milliseconds.
    pub(crate) fn push_time(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64() * 1e3);
    }

    /// Adds a time, if there is one.
    pub(crate) fn extend(&mut self, time: Option<Duration>) {
        if let Some(time) = time {
            self.push_time(time);
        }
    }

    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The median; `None` without measurements.
    pub(crate) fn median(&self) -> Option<f64> {
        self.at(0.5)
    }

    /// The ninth of ten measurements in order.
    pub(crate) fn p90(&self) -> Option<f64> {
        self.at(0.9)
    }

    /// The one that one in a hundred exceeds.
    pub(crate) fn p99(&self) -> Option<f64> {
        self.at(0.99)
    }

    pub(crate) fn largest(&self) -> Option<f64> {
        self.at(1.0)
    }

    /// Whether one in ten took much longer than the median: the machine was busy with something else.
    pub(crate) fn is_unsteady(&self) -> bool {
        const STEADY: f64 = 1.5;
        ratio(self.p90(), self.median()).is_some_and(|spread| spread > STEADY)
    }

    fn at(&self, part: f64) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        #[expect(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "an index into a short list")]
        let index = (last as f64 * part).round() as usize;
        sorted.get(index).copied()
    }
}

/// A number with three significant digits, a dash for none.
pub(crate) fn number(value: Option<f64>) -> String {
    match value {
        None => "-".into(),
        Some(v) if v >= 10_000.0 => format!("{:.1}k", v / 1e3),
        Some(v) if v >= 100.0 => format!("{v:.0}"),
        Some(v) if v >= 10.0 => format!("{v:.1}"),
        Some(v) => format!("{v:.2}"),
    }
}

/// The ratio of a value to `of`.
pub(crate) fn ratio(value: Option<f64>, of: Option<f64>) -> Option<f64> {
    Some(value? / of.filter(|of| *of > 0.0)?)
}

/// The ratio as text: `x1.32`.
pub(crate) fn times(value: Option<f64>, of: Option<f64>) -> String {
    match ratio(value, of) {
        None => "-".into(),
        Some(r) if r >= 100.0 => format!("x{r:.0}"),
        Some(r) if r >= 10.0 => format!("x{r:.1}"),
        Some(r) => format!("x{r:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        let sample = Sample(vec![9.0, 1.0, 2.0, 100.0, 3.0]);
        assert_eq!((sample.median(), sample.largest()), (Some(3.0), Some(100.0)));
        assert_eq!(Sample::default().median(), None);
    }

    #[test]
    fn a_sample_whose_slow_rounds_are_much_slower_is_unsteady() {
        assert!(!Sample(vec![1.0, 1.1, 1.2, 1.3, 1.4, 1.5]).is_unsteady());
        assert!(Sample(vec![1.0, 1.0, 1.0, 1.0, 3.0, 3.0]).is_unsteady());
        assert!(!Sample::default().is_unsteady());
    }

    #[test]
    fn numbers_keep_three_digits() {
        let shown: Vec<_> = [0.1234, 12.34, 123.4, 12_345.0].map(|v| number(Some(v))).into();
        assert_eq!(shown, ["0.12", "12.3", "123", "12.3k"]);
        assert_eq!(times(Some(3.0), Some(2.0)), "x1.50");
        assert_eq!(times(Some(3.0), None), "-");
    }
}
