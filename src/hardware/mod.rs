//! 3. What is there: accelerators, and what one of them offers a process.
// STUB until the branch `hardware` is merged.

use crate::estimate::cost::ListPrice;
use crate::units::{Bytes, FlopRate};
use crate::workload::Precision;

/// One accelerator, as a process sees it: a die where a resource unit is a die.
#[derive(Clone, Debug)]
pub struct Accelerator {
    /// The catalogue's key: `a800-sxm4-80gb`.
    pub key: String,
    /// As messages name it: `A800-80GB`.
    pub name: String,
    /// The device's total memory, as the driver reports it.
    pub memory: Bytes,
    /// What driver and firmware keep of it.
    pub reserve: Bytes,
    /// Dense peak rates by precision; none where the format is not supported.
    pub peak: Vec<(Precision, FlopRate)>,
}

impl Accelerator {
    /// What one process can address: memory less the driver's reserve.
    pub fn usable(&self) -> Bytes {
        self.memory - self.reserve
    }

    /// The dense peak rate of a precision; none where the format is not supported.
    pub fn peak(&self, precision: Precision) -> Option<FlopRate> {
        self.peak.iter().find(|(p, _)| *p == precision).map(|(_, rate)| *rate)
    }

    /// Whether it computes in bf16.
    pub fn computes_in_bf16(&self) -> bool {
        self.peak(Precision::BF16).is_some()
    }
}

/// All that is known beforehand: accelerators, prices, models, calibration.
#[derive(Debug, Default)]
pub struct Catalogue {
    all: Vec<Accelerator>,
}

impl Catalogue {
    /// The catalogue that is compiled in, from the files under `data/`.
    pub fn builtin() -> &'static Self {
        static BUILTIN: std::sync::LazyLock<Catalogue> = std::sync::LazyLock::new(|| {
            let gpu = |key: &str, name: &str, mib, tera| Accelerator {
                key: key.into(),
                name: name.into(),
                memory: Bytes::from_mib(mib),
                reserve: Bytes::from_mib(600),
                peak: vec![
                    (Precision::BF16, FlopRate::from_tera(tera)),
                    (Precision::FP16, FlopRate::from_tera(tera)),
                ],
            };
            Catalogue {
                all: vec![
                    gpu("a800-sxm4-80gb", "A800-80GB", 81920, 312.0),
                    gpu("a100-sxm4-80gb", "A100-80GB", 81920, 312.0),
                    gpu("h100-sxm5-80gb", "H100-80GB", 81559, 989.0),
                    gpu("a10g-24gb", "A10G", 23028, 70.0),
                ],
            }
        });
        &BUILTIN
    }
    /// Finds.
    pub fn find(&self, name: &str) -> Option<&Accelerator> {
        let name = name.to_ascii_lowercase();
        self.all.iter().find(|a| {
            let family = a.key.split('-').next().unwrap_or("");
            name.split(|c: char| !c.is_ascii_alphanumeric()).any(|w| w == family)
        })
    }
    /// Suggests.
    pub fn nearest(&self, _name: &str) -> Vec<&str> {
        self.all.iter().take(3).map(|a| a.name.as_str()).collect()
    }
    /// Prices.
    pub fn price(&self, _key: &str) -> Option<ListPrice> {
        None
    }
    /// Lists.
    pub fn all(&self) -> &[Accelerator] {
        &self.all
    }
}

/// Labels.
pub mod labels {
    use super::{Accelerator, Catalogue};
    use crate::units::Bytes;
    /// Labelled.
    #[derive(Debug, Clone)]
    pub struct Labelled<'c> {
        /// a
        pub accelerator: Option<&'c Accelerator>,
        /// b
        pub name: String,
        /// c
        pub label: &'static str,
        /// d
        pub memory: Option<Bytes>,
        /// e
        pub count: Option<u64>,
    }
    /// Of labels.
    pub fn of_labels<'c, 'a>(
        catalogue: &'c Catalogue,
        labels: impl Fn(&str) -> Option<&'a str>,
    ) -> Option<Labelled<'c>> {
        let label = "nvidia.com/gpu.product";
        let name = labels(label)?;
        Some(Labelled {
            accelerator: catalogue.find(name),
            name: name.into(),
            label,
            memory: None,
            count: None,
        })
    }
}

/// Resources.
pub mod resources {
    use super::Catalogue;
    /// Resource.
    #[derive(Debug, Clone)]
    pub struct Resource {}
    /// Of.
    pub fn of_resource(_: &Catalogue, name: &str) -> Option<Resource> {
        (name == "nvidia.com/gpu" || name == "amd.com/gpu").then_some(Resource {})
    }
}
