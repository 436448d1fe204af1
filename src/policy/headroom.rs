//! Headroom: memory that an administrator keeps free on every accelerator, for uses that no job declares: the context
//! of a monitoring agent, a profiler, a safety margin.
//!
//! ```text
//! capacity = memory that the accelerator offers a process − headroom
//! ```

use crate::units::Bytes;

/// The memory to keep free on every accelerator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Headroom {
    /// An amount.
    Bytes(Bytes),
    /// A share of the offered memory, from 0 to below 1.
    Share(f64),
}

impl Default for Headroom {
    fn default() -> Self {
        Self::Bytes(Bytes(0))
    }
}

impl Headroom {
    /// Parses an amount (`2Gi`) or a share below 100 % (`5%`).
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        match text.strip_suffix('%') {
            Some(percent) => {
                let percent: f64 = percent.trim().parse().ok()?;
                (0.0..100.0).contains(&percent).then_some(Self::Share(percent / 100.0))
            }
            None => Bytes::parse_quantity(text).ok().map(Self::Bytes),
        }
    }

    /// Whether it is zero.
    pub fn is_none(self) -> bool {
        matches!(self, Self::Bytes(Bytes(0))) || self == Self::Share(0.0)
    }

    /// The memory that is left for a job.
    pub fn below(self, offered: Bytes) -> Bytes {
        match self {
            Self::Bytes(kept) => Bytes(offered.0.saturating_sub(kept.0)),
            Self::Share(share) => offered.scale(1.0 - share),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_or_a_share_is_kept_free() {
        let offered = Bytes::from_mib(80 * 1024);
        for (text, left) in [("2Gi", 78 * 1024), ("25%", 60 * 1024), ("0", 80 * 1024), ("100Gi", 0)] {
            assert_eq!(Headroom::parse(text).unwrap().below(offered), Bytes::from_mib(left), "{text}");
        }
        for text in ["100%", "-1%", "NaN%", "much", "5 percent"] {
            assert_eq!(Headroom::parse(text), None, "{text}");
        }
    }
}
