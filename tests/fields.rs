//! Code names a field of the spec by its handle (`weighbridge::job::field`), never by its path as a text.
//!
//! A path is text only in the table that declares it, in tests, and where a framework's own key is spelled like it.

use std::fs;
use std::path::Path;

use weighbridge::job::field;

/// Keys of frameworks' own that are spelled like a path.
const KEYS_OF_FRAMEWORKS: &[&str] =
    &["checkpoint.interval", "model.activation", "model.name", "model.normalization"];

#[test]
fn no_code_names_a_field_by_its_path() {
    // A path without a dot may be any word.
    let fields = field::SPEC.fields().into_iter().filter(|field| field.path().contains('.'));
    let paths: Vec<_> = fields.map(|field| format!("\"{field}\"")).collect();
    assert!(paths.len() > 50, "the paths were read: {paths:?}");
    let mut found = Vec::new();
    search(Path::new("src"), &paths, &mut found);
    assert!(found.is_empty(), "write the handle of job::field instead:\n{}", found.join("\n"));
}

fn search(folder: &Path, paths: &[String], found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            search(&path, paths, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
            let source = fs::read_to_string(&path).unwrap();
            let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            for (line, text) in code.lines().enumerate() {
                let text = text.split("//").next().unwrap_or_default();
                let is_own = |literal: &str| {
                    path.starts_with("src/frameworks")
                        && KEYS_OF_FRAMEWORKS.contains(&literal.trim_matches('"'))
                };
                let literals =
                    paths.iter().filter(|literal| text.contains(literal.as_str()) && !is_own(literal));
                found.extend(literals.map(|literal| format!("{}:{}: {literal}", path.display(), line + 1)));
            }
        }
    }
}
