//! Where the programs and CRDs lie: `KUBEBUILDER_ASSETS` where set, else the cache that
//! `make controlplane` fills.
//!
//! What is missing is an error that says what to run. Nothing is built from here: a test that takes ten
//! minutes for no visible reason is worse than one that fails.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::{Context as _, Result, bail};

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// The path of `etcd`, `kube-apiserver`, `kube-controller-manager`, `kubectl` or `helm`.
pub(super) fn program(name: &str) -> Result<PathBuf> {
    if let Some(assets) = env::var_os(ASSETS) {
        let path = Path::new(&assets).join(name);
        if !path.is_file() {
            bail!(
                "{} is missing, and {ASSETS} says to look there; put {name} there, or unset {ASSETS} and \
                 run `make controlplane`",
                path.display()
            );
        }
        return Ok(path);
    }
    existing(&cache()?.join("bin").join(name))
}

/// A program of `make neighbours`, such as `prometheus`.
pub fn neighbour(name: &str) -> Result<PathBuf> {
    of_neighbours(&format!("bin/{name}"))
}

/// The chart of a program of `make neighbours`.
pub fn neighbours_chart(name: &str) -> Result<PathBuf> {
    of_neighbours(&format!("charts/{name}"))
}

fn of_neighbours(path: &str) -> Result<PathBuf> {
    let path = folder_of("neighbours")?.join(path);
    if !path.exists() {
        bail!("{} is missing; run `make neighbours` to build it (about 10 minutes, once)", path.display());
    }
    Ok(path)
}

/// The real helm.
pub fn helm() -> Result<PathBuf> {
    program("helm")
}

/// The CRDs of Kubeflow's training operator: PyTorchJob, TFJob, MPIJob and the others.
pub fn kubeflow_crds() -> Result<Vec<PathBuf>> {
    manifests(&existing(&cache()?.join("crds/kubeflow"))?)
}

/// Our own CRDs, as the repository carries them.
pub fn repository_crds() -> Result<Vec<PathBuf>> {
    manifests(&Path::new(REPOSITORY).join("crds"))
}

/// The folder of the programs as they are pinned now. Its name is a digest of the pins, and only the
/// build script knows how that is made.
fn cache() -> Result<PathBuf> {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    if let Some(cache) = CACHE.get() {
        return Ok(cache.clone());
    }
    let cache = folder_of("controlplane")?;
    Ok(CACHE.get_or_init(|| cache).clone())
}

/// The folder of a set of programs.
fn folder_of(set: &str) -> Result<PathBuf> {
    let script = Path::new(REPOSITORY).join("tests/controlplane/build");
    let output = Command::new(&script)
        .args([set, "--where"])
        .output()
        .with_context(|| script.display().to_string())?;
    if !output.status.success() {
        bail!("{} {set} --where: {}", script.display(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim_end()))
}

fn existing(path: &Path) -> Result<PathBuf> {
    if !path.exists() {
        bail!("{} is missing; run `make controlplane` to build it (about 10 minutes, once)", path.display());
    }
    Ok(path.to_owned())
}

/// The YAML files of a folder, in the order of their names.
fn manifests(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
