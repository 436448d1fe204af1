//! A limit on a program's memory, as a kubelet sets it: by a control group, of version 1 or 2.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail};

/// The chart's own limit, in bytes.
pub(crate) const OF_THE_CHART: u64 = 256 << 20;

/// A group of processes whose memory is limited. Dropped, it is removed.
pub(crate) struct MemoryLimit {
    group: PathBuf,
    version: Version,
}

#[derive(Clone, Copy)]
enum Version {
    One,
    Two,
}

impl MemoryLimit {
    /// A new group with this limit.
    pub(crate) fn new(bytes: u64) -> Result<Self> {
        static MADE: AtomicUsize = AtomicUsize::new(1);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("weighbridge-test-{}-{number}", std::process::id());
        let (one, two) = (Path::new("/sys/fs/cgroup/memory"), Path::new("/sys/fs/cgroup"));
        let (root, version) = if one.is_dir() {
            (one, Version::One)
        } else if two.join("cgroup.controllers").is_file() {
            (two, Version::Two)
        } else {
            bail!("this test limits memory by a control group, and /sys/fs/cgroup has no memory controller");
        };
        let group = root.join(name);
        let cannot = || {
            format!(
                "this test limits memory by a control group, and {} cannot be written: run it as root on a machine \
                 whose control groups are writable",
                root.display()
            )
        };
        if matches!(version, Version::Two) {
            fs::write(root.join("cgroup.subtree_control"), "+memory").with_context(cannot)?;
        }
        fs::create_dir(&group).with_context(cannot)?;
        let limit = Self { group, version };
        limit.write("memory.limit_in_bytes", "memory.max", &bytes.to_string()).with_context(cannot)?;
        Ok(limit)
    }

    /// A program that starts this one within the limit.
    pub(crate) fn wrap(&self, program: &Path, folder: &Path) -> Result<PathBuf> {
        let name = self.group.file_name().context("the group has no name")?;
        let wrapper = folder.join(name);
        let script = format!(
            "#!/bin/sh\necho $$ > '{}/cgroup.procs' && exec '{}' \"$@\"\n",
            self.group.display(),
            program.display()
        );
        fs::write(&wrapper, script)?;
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
        Ok(wrapper)
    }

    /// How many processes the kernel has killed for the limit.
    pub(crate) fn killed(&self) -> Result<u64> {
        let events = self.read("memory.oom_control", "memory.events")?;
        let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        Ok(count.context("the group does not count what is killed")?.trim().parse()?)
    }

    /// The memory that its processes hold now and cannot give back, in MiB.
    pub(crate) fn held_mib(&self) -> Result<u64> {
        let statistics = self.read("memory.stat", "memory.stat")?;
        let key = match self.version {
            Version::One => "rss ",
            Version::Two => "anon ",
        };
        let bytes = statistics.lines().find_map(|line| line.strip_prefix(key));
        Ok(bytes.context("the group does not count its memory")?.trim().parse::<u64>()? >> 20)
    }

    fn file(&self, one: &str, two: &str) -> PathBuf {
        self.group.join(match self.version {
            Version::One => one,
            Version::Two => two,
        })
    }

    fn read(&self, one: &str, two: &str) -> Result<String> {
        let file = self.file(one, two);
        fs::read_to_string(&file).with_context(|| file.display().to_string())
    }

    fn write(&self, one: &str, two: &str, text: &str) -> Result<()> {
        let file = self.file(one, two);
        fs::write(&file, text).with_context(|| file.display().to_string())
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        // What a killed process held is given back a moment later.
        for _ in 0..100 {
            if fs::remove_dir(&self.group).is_ok() || !self.group.is_dir() {
                return;
            }
            std::thread::yield_now();
        }
    }
}
