//! docs/values.md is made from values.yaml: of every key the path, the default and the comment above it.

use std::{collections::BTreeSet, env, fmt::Write as _, fs, path::Path};

use anyhow::Result;
use serde_json::Value;

const HEADER: &str = "\
# The chart's values

Made from `charts/weighbridge/values.yaml` by `make generate`; `values.schema.json` refuses what is not in here.

| value | default | what |
| --- | --- | --- |
";

fn root(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// The key of a line, where it has one.
fn key(line: &str) -> Option<&str> {
    let (key, _) = line.trim_start().split_once(':')?;
    (!key.is_empty() && key.chars().all(char::is_alphanumeric)).then_some(key)
}

/// (path, what) of every key with a comment that begins with `--`.
fn described(text: &str) -> Vec<(String, String)> {
    let mut described = Vec::new();
    let mut parents: Vec<(usize, &str)> = Vec::new();
    let mut comment: Option<String> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if let Some(said) = line.trim_start().strip_prefix('#') {
            comment = match (said.strip_prefix(" -- "), comment) {
                (Some(first), _) => Some(first.to_owned()),
                (None, Some(before)) => Some(format!("{before} {}", said.trim())),
                (None, None) => None,
            };
            continue;
        }
        let Some(key) = key(line) else {
            comment = None;
            continue;
        };
        parents.retain(|(depth, _)| *depth < indent);
        let path: Vec<_> = parents.iter().map(|(_, key)| *key).chain([key]).collect();
        if let Some(comment) = comment.take() {
            described.push((path.join("."), comment));
        }
        parents.push((indent, key));
    }
    described
}

fn page() -> Result<String> {
    let text = fs::read_to_string(root("charts/weighbridge/values.yaml"))?;
    let values: Value = serde_saphyr::from_str(&text)?;
    let mut page = HEADER.to_owned();
    for (path, what) in described(&text) {
        let default = values.pointer(&format!("/{}", path.replace('.', "/"))).unwrap_or(&Value::Null);
        writeln!(page, "| `{path}` | `{default}` | {what} |")?;
    }
    Ok(page)
}

#[test]
fn the_reference_is_made_from_the_values() -> Result<()> {
    let file = root("docs/values.md");
    let page = page()?;
    if env::var_os("WEIGHBRIDGE_GENERATE").is_some() {
        fs::write(&file, &page)?;
    }
    assert!(
        fs::read_to_string(&file).unwrap_or_default() == page,
        "docs/values.md is stale: run `make generate`"
    );
    Ok(())
}

/// The paths of everything that a person may set; an object that holds anything is one of them.
fn leaves(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    match schema["properties"].as_object() {
        Some(fields) => {
            for (name, field) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(field, &path, found);
            }
        }
        None => drop(found.insert(path.to_owned())),
    }
}

#[test]
fn every_value_that_may_be_set_is_described() -> Result<()> {
    let text = fs::read_to_string(root("charts/weighbridge/values.yaml"))?;
    let described: Vec<_> = described(&text).into_iter().map(|(path, _)| path).collect();
    let schema = fs::read_to_string(root("charts/weighbridge/values.schema.json"))?;
    let mut settable = BTreeSet::new();
    leaves(&serde_json::from_str(&schema)?, "", &mut settable);
    // Helm's own, which a parent chart sets.
    settable.remove("global");
    let under = |path: &String, parent: &String| path.starts_with(&format!("{parent}."));
    let undescribed: Vec<_> = settable
        .iter()
        .filter(|path| !described.iter().any(|known| known == *path || under(path, known)))
        .collect();
    assert!(undescribed.is_empty(), "in the schema, but not described in values.yaml: {undescribed:?}");
    let unknown: Vec<_> = described
        .iter()
        .filter(|path| {
            !settable.iter().any(|known| known == *path || under(path, known) || under(known, path))
        })
        .collect();
    assert!(unknown.is_empty(), "described, but not in the schema: {unknown:?}");
    Ok(())
}
