//! A memory cgroup with a container's limit, for a program that must live within it. The kernel kills what does not.
//!
//! Version 1 and version 2 of cgroups serve alike. Where neither can be written, the error says so: a test that needs
//! the limit fails, and is not skipped.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context as _, Result, bail};

/// A cgroup, until it is dropped.
pub struct MemoryGroup {
    folder: PathBuf,
    version: Version,
}

#[derive(Clone, Copy)]
enum Version {
    One,
    Two,
}

impl MemoryGroup {
    /// A cgroup that may take so many bytes, without swap.
    pub fn new(limit: u64) -> Result<Self> {
        let roots =
            [(Version::One, Path::new("/sys/fs/cgroup/memory")), (Version::Two, Path::new("/sys/fs/cgroup"))];
        let has = |(version, root): &(Version, &Path)| match version {
            Version::One => root.join("memory.limit_in_bytes").exists(),
            Version::Two => root.join("cgroup.controllers").exists(),
        };
        let Some((version, root)) = roots.into_iter().find(has) else {
            bail!("no memory cgroups below /sys/fs/cgroup: this test needs them, version 1 or 2");
        };
        let made = Self::make(version, root, limit);
        made.with_context(|| {
            let root = root.display();
            format!("{root} must be writable: this test runs a program under a memory limit. Run it as root")
        })
    }

    fn make(version: Version, root: &Path, limit: u64) -> Result<Self> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        if matches!(version, Version::Two) {
            fs::write(root.join("cgroup.subtree_control"), "+memory")?;
        }
        let folder = root.join(format!("weighbridge-test-{}-{number}", std::process::id()));
        fs::create_dir(&folder)?;
        let group = Self { folder, version };
        let limit = limit.to_string();
        match version {
            Version::One => {
                group.write("memory.limit_in_bytes", &limit)?;
                // Not every kernel counts swap.
                let _ = group.write("memory.memsw.limit_in_bytes", &limit);
            }
            Version::Two => {
                group.write("memory.max", &limit)?;
                let _ = group.write("memory.swap.max", "0");
            }
        }
        Ok(group)
    }

    fn write(&self, file: &str, content: &str) -> Result<()> {
        fs::write(self.folder.join(file), content).with_context(|| format!("{file} of the cgroup"))
    }

    /// A program that runs this one in the cgroup.
    pub fn program(&self, program: &Path, folder: &Path) -> Result<PathBuf> {
        let name = self.folder.file_name().unwrap_or_default();
        let script = folder.join(name).with_extension("sh");
        let procs = self.folder.join("cgroup.procs");
        let text =
            format!("#!/bin/sh\necho $$ > '{}' && exec '{}' \"$@\"\n", procs.display(), program.display());
        fs::write(&script, text)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        Ok(script)
    }

    /// The bytes that it takes now, without what the kernel keeps of files.
    pub fn bytes(&self) -> Result<u64> {
        let stat = fs::read_to_string(self.folder.join("memory.stat"))?;
        let field = |name: &str| {
            let line = stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
            line.with_context(|| format!("{name} in the cgroup's memory.stat"))
        };
        match self.version {
            Version::One => field("rss "),
            Version::Two => field("anon "),
        }
    }

    /// The most that it took.
    pub fn most(&self) -> Result<u64> {
        let file = match self.version {
            Version::One => "memory.max_usage_in_bytes",
            Version::Two => "memory.peak",
        };
        Ok(fs::read_to_string(self.folder.join(file))?.trim().parse()?)
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // It stays where a program in it still runs; it takes no memory of its own.
        let _ = fs::remove_dir(&self.folder);
    }
}
