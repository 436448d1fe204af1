//! The kernel's account of a process: processor time, waiting for a processor, and memory.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// A process and those below it, by the id of its process group.
#[derive(Clone, Copy)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    /// The processor time that its threads took, those that ended included.
    pub(crate) fn time(self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        let (_, fields) = stat.rsplit_once(") ").context("/proc/*/stat")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks = |field: usize| -> Result<u64> { Ok(fields.get(field).context("a field")?.parse()?) };
        // Fields 14 and 15 of proc(5), in hundredths of a second.
        Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
    }

    /// How long its threads of ordinary priority stood ready and waited for a processor.
    pub(crate) fn waited(self) -> Result<Duration> {
        let mut waited = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.0))? {
            let thread = thread?.path();
            let Ok(name) = fs::read_to_string(thread.join("comm")) else { continue };
            if name.trim() == "background" {
                continue;
            }
            let Ok(account) = fs::read_to_string(thread.join("schedstat")) else { continue };
            let field = account.split_whitespace().nth(1).context("schedstat")?;
            waited += field.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(waited))
    }

    /// The memory that it has in RAM, and the most that it had, in MiB.
    pub(crate) fn memory(self) -> Result<[f64; 2]> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let field = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("a line")?;
            let kilobytes: f64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?;
            Ok(kilobytes / 1024.0)
        };
        Ok([field("VmRSS")?, field("VmHWM")?])
    }
}
