//! What the devices of the published runs offer a process: total memory less the driver's reserve.
//!
//! Totals as `nvidia-smi` prints them, reserves as the difference to what CUDA addresses, both in MiB, from public error
//! messages and logs (A100 80GB 81920 and 79.15–79.33 GiB, H100 81559 and 79.1–79.25 GiB, …). The 96 GB H100 is Meta's
//! with HBM2e.

use weighbridge::units::Bytes;
use weighbridge::workload::TrainingJob;

const DEVICES: &[(&str, u64, u64)] = &[
    ("A100-80GB", 81_920, 780),
    ("A100-40GB", 40_960, 620),
    ("H100-80GB", 81_559, 480),
    ("H100-96GB", 97_871, 600),
    ("H200", 143_771, 650),
    ("B200", 183_359, 725),
    ("GB200", 189_471, 725),
    ("GB300", 284_208, 900),
    ("GH200-96GB", 97_871, 600),
    ("MI300X", 196_592, 150),
    ("V100-32GB", 32_768, 258),
    ("V100-16GB", 16_384, 224),
    ("A10G", 23_028, 300),
    ("L40S", 46_068, 500),
    ("RTX-3090", 24_576, 450),
    ("RTX-4090", 24_564, 450),
    ("RTX-A5000", 24_564, 450),
    ("RTX-A6000", 49_140, 500),
    ("RTX-6000-Ada", 49_140, 500),
];

/// What a process can address on the job's device; nothing where the device is not given.
pub(crate) fn capacity(job: &TrainingJob) -> Option<Bytes> {
    let kind = job.accelerator.as_ref()?.kind.as_ref()?;
    let (_, total, reserve) = DEVICES.iter().find(|(name, ..)| name == kind)?;
    Some(Bytes::from_mib(total - reserve))
}

/// Whether the device computes in bf16.
pub(crate) fn bf16(job: &TrainingJob) -> bool {
    !job.accelerator.as_ref().and_then(|a| a.kind.as_ref()).is_some_and(|kind| kind.starts_with("V100"))
}
