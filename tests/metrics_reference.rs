//! docs/metrics.md, held against the code: every metric that is registered is described, and nothing else is.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Every metric by the name that it is registered under.
fn registered(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            registered(&path, names);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for registration in text.split(".register").skip(1) {
                let quoted = registration.split('"').nth(1).unwrap_or_default();
                let is_metric = |prefix: &&str| quoted.starts_with(prefix);
                if ["weighbridge_", "controller_runtime_", "leader_election_"].iter().any(|p| is_metric(&p)) {
                    names.insert(quoted.to_owned());
                }
            }
        }
    }
}

#[test]
fn the_reference_describes_every_metric_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeSet::new();
    registered(&root.join("src"), &mut names);
    assert!(names.len() > 20, "{names:?}");

    let reference = fs::read_to_string(root.join("docs/metrics.md")).unwrap();
    let described = reference.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    // The exposition adds the kind and the unit behind the name.
    let endings = ["_total", "_info"];
    let plain = |name: &str| endings.iter().find_map(|e| name.strip_suffix(e)).unwrap_or(name).to_owned();
    let described: BTreeSet<String> = described.map(plain).collect();
    let unit = |name: &String| format!("{name}_seconds");
    let missing: Vec<_> =
        names.iter().filter(|name| !described.contains(*name) && !described.contains(&unit(name))).collect();
    let stale: Vec<_> = described
        .iter()
        .filter(|name| !names.contains(*name) && !names.iter().any(|known| unit(known) == **name))
        .collect();
    assert!(missing.is_empty() && stale.is_empty(), "not described: {missing:?}; not there: {stale:?}");
}
