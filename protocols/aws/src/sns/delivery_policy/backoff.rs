//! How delays grow.

/// How delays grow in the backoff phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Backoff {
    #[default]
    Linear,
    Arithmetic,
    Geometric,
    Exponential,
}

impl Backoff {
    pub(super) const ALL: [Self; 4] = [Self::Linear, Self::Arithmetic, Self::Geometric, Self::Exponential];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Arithmetic => "arithmetic",
            Self::Geometric => "geometric",
            Self::Exponential => "exponential",
        }
    }

    /// The share of the way from the shortest to the longest delay at step `step` of `steps`, both counted from 0 to the last.
    pub(super) fn share(self, step: u32, last: u32, ratio: f64) -> f64 {
        let (x, n) = (f64::from(step), f64::from(last));
        match self {
            _ if last == 0 => 0.0,
            Self::Linear => x / n,
            Self::Arithmetic => x * (x + 1.0) / (n * (n + 1.0)),
            // The delays, not their distances, form a geometric series.
            Self::Geometric if ratio > 1.0 => (ratio.powf(x / n) - 1.0) / (ratio - 1.0),
            Self::Geometric => x / n,
            Self::Exponential => (x.exp2() - 1.0) / (n.exp2() - 1.0),
        }
    }
}
