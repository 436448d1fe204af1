//! One accelerator, as a process sees it.
//!
//! ```text
//! usable = total memory as the driver reports it − what driver and firmware keep
//! ```
//!
//! which is what `torch.cuda` calls the total capacity: 81 559 MiB of an "80 GB" H100 leave 79.1 GiB. The context of
//! a process is not taken off here; the estimate counts it.

use std::fmt;

use serde::Deserialize;

use crate::job::Precision;
use crate::units::{ByteRate, Bytes, FlopRate};

/// One accelerator, as a process sees it: a die where a resource unit is a die.
#[derive(Clone, Debug, Default)]
pub struct Accelerator {
    /// The catalogue's key: `a800-sxm4-80gb`.
    pub key: String,
    /// As messages name it: `A800-80GB`.
    pub name: String,
    /// The bare name that its variants share: `A800`; none where there are no variants.
    pub chip: Option<String>,
    /// Whether the bare name is hardly ever meant to be this variant.
    pub rare: bool,
    /// Who makes it.
    pub vendor: Vendor,
    /// The device's total memory, as the driver reports it.
    pub memory: Bytes,
    /// What driver and firmware keep of it.
    pub reserve: Bytes,
    /// The formats that it multiplies natively.
    pub computes_in: Vec<Precision>,
    /// Dense peak rates by precision; none where the format is not supported, or where no source gives its rate.
    pub peak: Vec<(Precision, FlopRate)>,
    /// How fast its memory and links are.
    pub bandwidth: Bandwidth,
}

/// How fast a device's memory and links are; none where no source says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bandwidth {
    /// Of the device's own memory.
    pub memory: Option<ByteRate>,
    /// To the other devices of its node, both directions added.
    pub link: Option<ByteRate>,
}

impl Accelerator {
    /// What one process can address: memory less the driver's reserve.
    pub fn usable(&self) -> Bytes {
        self.memory - self.reserve
    }

    /// What one process can address where the node says how much memory the device has, and the catalogue does not
    /// know better.
    ///
    /// Within 5 % of the catalogue's total it is the same device, read by another driver (those before R510 left
    /// their reserve out of the total) or rounded by a cloud: the smaller of both holds. Otherwise it is a part of
    /// the device or a variant that is not listed, and loses the same share to the driver.
    pub fn usable_of(&self, reported: Bytes) -> Bytes {
        if near(reported, self.memory) {
            return self.usable().min(reported);
        }
        let kept = self.reserve.as_f64() / self.memory.as_f64().max(1.0);
        reported.scale((1.0 - kept).max(0.0))
    }

    /// The dense peak rate of a precision; none where the format is not supported.
    pub fn peak(&self, precision: Precision) -> Option<FlopRate> {
        self.peak.iter().find(|(p, _)| *p == precision).map(|(_, rate)| *rate)
    }

    /// Whether it multiplies in a format natively.
    pub fn computes(&self, precision: Precision) -> bool {
        self.computes_in.contains(&precision)
    }

    /// Whether it multiplies in bf16; before Ampere, NVIDIA's do not.
    pub fn computes_in_bf16(&self) -> bool {
        self.computes(Precision::BF16)
    }

    /// Whether it multiplies in fp8.
    pub fn computes_in_fp8(&self) -> bool {
        self.computes(Precision::FP8)
    }
}

/// Whether two totals are readings of the same memory: within 5 % of the larger.
pub(super) fn near(one: Bytes, other: Bytes) -> bool {
    let (small, large) = if one < other { (one, other) } else { (other, one) };
    large - small <= large.scale(0.05)
}

/// Who makes an accelerator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[allow(missing_docs, reason = "the makers' own names")]
pub enum Vendor {
    #[default]
    NVIDIA,
    AMD,
    Huawei,
    Habana,
    Intel,
    Google,
    AWS,
    Cambricon,
    Kunlunxin,
    MooreThreads,
    MetaX,
    Hygon,
    Iluvatar,
    Enflame,
    Biren,
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Habana => "Intel Gaudi",
            Self::MooreThreads => "Moore Threads",
            other => return write!(f, "{other:?}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a100() -> Accelerator {
        let (memory, reserve) = (Bytes::from_mib(81_920), Bytes::from_mib(872));
        Accelerator { memory, reserve, ..Accelerator::default() }
    }

    #[test]
    fn an_old_drivers_total_is_not_reduced_twice() {
        assert_eq!(a100().usable_of(Bytes::from_mib(81_251)), Bytes::from_mib(81_048));
        assert_eq!(a100().usable_of(Bytes::from_mib(80_900)), Bytes::from_mib(80_900));
    }

    #[test]
    fn half_a_device_loses_half_the_reserve() {
        assert_eq!(a100().usable_of(Bytes::from_mib(40_960)), Bytes::from_mib(40_524));
    }

    #[test]
    fn an_accelerator_without_memory_offers_none() {
        assert_eq!(Accelerator::default().usable_of(Bytes::ZERO), Bytes::ZERO);
        assert_eq!(Accelerator::default().usable(), Bytes::ZERO);
    }
}
