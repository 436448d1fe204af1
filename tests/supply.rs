//! What the product may be made of, by `deny.toml`: `make lint` asks cargo-deny where it is installed. This asks the same
//! of licences, sources and doubles without it, so that no machine leaves it out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn rules() -> toml::Table {
    include_str!("../deny.toml").parse().unwrap()
}

/// The crates on every platform of `deny.toml`.
fn crates() -> Vec<Value> {
    let targets = rules()["graph"]["targets"].as_array().unwrap().clone();
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--locked", "--offline", "--all-features", "--format-version=1"]);
    for target in &targets {
        command.args(["--filter-platform", target.as_str().unwrap()]);
    }
    let output = command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let used: BTreeSet<_> =
        metadata["resolve"]["nodes"].as_array().unwrap().iter().map(|n| n["id"].as_str()).collect();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages.filter(|package| used.contains(&package["id"].as_str())).cloned().collect()
}

fn text<'a>(package: &'a Value, field: &str) -> &'a str {
    package[field].as_str().unwrap_or_default()
}

/// Whether a licence expression can be met with these licences. `/` is an old word for OR.
fn is_met(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let spaced =
        expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "+with+");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = tokens.as_slice();
    any_of(&mut rest, allowed)
}

fn any_of(tokens: &mut &[&str], allowed: &BTreeSet<&str>) -> bool {
    let mut met = all_of(tokens, allowed);
    while let ["OR", rest @ ..] = *tokens {
        *tokens = rest;
        met |= all_of(tokens, allowed);
    }
    met
}

fn all_of(tokens: &mut &[&str], allowed: &BTreeSet<&str>) -> bool {
    let mut met = one(tokens, allowed);
    while let ["AND", rest @ ..] = *tokens {
        *tokens = rest;
        met &= one(tokens, allowed);
    }
    met
}

fn one(tokens: &mut &[&str], allowed: &BTreeSet<&str>) -> bool {
    match *tokens {
        ["(", rest @ ..] => {
            *tokens = rest;
            let met = any_of(tokens, allowed);
            *tokens = tokens.split_first().map_or(&[], |(_, rest)| rest);
            met
        }
        [licence, rest @ ..] => {
            *tokens = rest;
            allowed.contains(licence.replace("+with+", " WITH ").as_str())
        }
        [] => false,
    }
}

#[test]
fn every_crate_has_a_licence_that_is_allowed() {
    let rules = rules();
    let allowed =
        rules["licenses"]["allow"].as_array().unwrap().iter().filter_map(toml::Value::as_str).collect();
    for package in crates() {
        let licence = text(&package, "license");
        assert!(is_met(licence, &allowed), "{} has the licence {licence:?}", text(&package, "name"));
    }
}

#[test]
fn every_crate_is_of_the_registry() {
    for package in crates().iter().filter(|package| text(package, "name") != "weighbridge") {
        let source = text(package, "source");
        assert_eq!(
            source,
            "registry+https://github.com/rust-lang/crates.io-index",
            "{}",
            text(package, "name")
        );
    }
}

#[test]
fn no_denied_crate_is_used_and_doubles_are_listed() {
    let rules = rules();
    let listed = |list: &str| -> BTreeSet<String> {
        let entries = rules["bans"][list].as_array().unwrap().iter();
        entries.map(|entry| entry["crate"].as_str().unwrap().to_owned()).collect()
    };
    let (denied, skipped) = (listed("deny"), listed("skip"));
    let crates = crates();
    let mut versions = BTreeMap::<&str, BTreeSet<&str>>::new();
    for package in &crates {
        let name = text(package, "name");
        assert!(!denied.contains(name), "{name} is denied");
        versions.entry(name).or_default().insert(text(package, "version"));
    }
    let is_listed = |name: &str, version: &str| {
        skipped.iter().any(|entry| {
            entry.split_once('@').is_some_and(|(listed, of)| {
                listed == name && (version == of || version.starts_with(&format!("{of}.")))
            })
        })
    };
    let below_a_listed_tree =
        BTreeSet::from(["cached", "foldhash", "hashbrown", "darling", "darling_core", "darling_macro"]);
    for (name, versions) in &versions {
        let unlisted: Vec<_> = versions.iter().filter(|version| !is_listed(name, version)).collect();
        assert!(
            unlisted.len() <= 1 || below_a_listed_tree.contains(name),
            "{name} is used as {unlisted:?}, and deny.toml does not say why"
        );
    }
}

#[test]
fn a_licence_expression_is_met_by_any_of_its_choices() {
    let allowed = BTreeSet::from(["MIT", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"]);
    for met in [
        "MIT",
        "MIT OR GPL-3.0",
        "GPL-3.0/MIT",
        "(GPL-3.0 OR MIT) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(is_met(met, &allowed), "{met}");
    }
    for unmet in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR GPL-3.0) AND OpenSSL", "Apache-2.0"] {
        assert!(!is_met(unmet, &allowed), "{unmet}");
    }
}
