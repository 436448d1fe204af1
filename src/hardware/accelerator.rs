//! One accelerator, as a process uses it.
//!
//! ```text
//! usable = total memory as the driver reports it − memory that driver and firmware keep
//! ```
//!
//! This is the total capacity of `torch.cuda`: 81 559 MiB of an "80 GB" H100 leave 79.1 GiB. The context of a process
//! is not subtracted here; the estimate counts it.

use std::fmt;

use serde::Deserialize;

use crate::job::Precision;
use crate::units::{ByteRate, Bytes, FlopRate};

/// One accelerator, as a process uses it. If a resource unit is a die, this is one die.
#[derive(Clone, Debug, Default)]
pub struct Accelerator {
    /// The catalogue's key: `a800-sxm4-80gb`.
    pub key: String,
    /// Its name in messages: `A800-80GB`.
    pub name: String,
    /// The bare name of all its variants: `A800`. None if it has no variants.
    pub chip: Option<String>,
    /// Whether people hardly ever mean this variant by the bare name.
    pub rare: bool,
    /// The maker.
    pub vendor: Vendor,
    /// The device's total memory, as the driver reports it.
    pub memory: Bytes,
    /// The part of the memory that driver and firmware keep.
    pub reserve: Bytes,
    /// The formats that it multiplies in hardware.
    pub computes_in: Vec<Precision>,
    /// Dense peak rates by precision. None if the format is not supported, or no source gives the rate.
    pub peak: Vec<(Precision, FlopRate)>,
    /// The bandwidth of its memory and links.
    pub bandwidth: Bandwidth,
}

/// The bandwidth of a device's memory and links. None if no source gives it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bandwidth {
    /// Of the device's own memory.
    pub memory: Option<ByteRate>,
    /// To the other devices of its node, both directions added.
    pub link: Option<ByteRate>,
}

impl Accelerator {
    /// The memory that one process can address: the total minus the driver's reserve.
    pub fn usable(&self) -> Bytes {
        self.memory - self.reserve
    }

    /// The memory that one process can address of a device whose total a node reports.
    ///
    /// A total within 5 % of the catalogue's is the same device, read by another driver (those before R510 left their
    /// reserve out of the total) or rounded by a cloud. Then the smaller figure holds. Any other total is a part of
    /// the device or an unlisted variant, and the driver keeps the same share of it.
    pub fn usable_of(&self, reported: Bytes) -> Bytes {
        if near(reported, self.memory) {
            return self.usable().min(reported);
        }
        let kept = self.reserve.as_f64() / self.memory.as_f64().max(1.0);
        reported.scale((1.0 - kept).max(0.0))
    }

    /// Whether a total may be a reading of its memory: within 1 % of it.
    pub fn is_near(&self, total: Bytes) -> bool {
        let (small, large) = if total < self.memory { (total, self.memory) } else { (self.memory, total) };
        large - small <= large.scale(0.01)
    }

    /// The dense peak rate of a precision. None if the format is not supported.
    pub fn peak(&self, precision: Precision) -> Option<FlopRate> {
        self.peak.iter().find(|(p, _)| *p == precision).map(|(_, rate)| *rate)
    }

    /// Whether it multiplies a format in hardware.
    pub fn computes(&self, precision: Precision) -> bool {
        self.computes_in.contains(&precision)
    }

    /// Whether it multiplies bf16. NVIDIA's devices before Ampere do not.
    pub fn computes_in_bf16(&self) -> bool {
        self.computes(Precision::BF16)
    }

    /// Whether it multiplies fp8.
    pub fn computes_in_fp8(&self) -> bool {
        self.computes(Precision::FP8)
    }
}

/// Whether two totals may be readings of the same memory: within 5 % of the larger.
pub(super) fn near(one: Bytes, other: Bytes) -> bool {
    let (small, large) = if one < other { (one, other) } else { (other, one) };
    large - small <= large.scale(0.05)
}

/// The maker of an accelerator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[expect(missing_docs, reason = "the makers' own names")]
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
