//! The folders of `src/` in one order: no folder uses one that uses it, directly or by way of others.
//!
//! A use is any path that begins with `crate::` and a folder's name, outside comments and tests. And what a framework does
//! is in `src/frameworks`, so that no folder but that and `job`, which has the words, names a framework: not in an identifier, and
//! not in the name of a file. Texts and comments may. And ARCHITECTURE.md names every folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use weighbridge::job::Framework;

/// What each folder uses, with a file that does so.
type Uses = BTreeMap<String, BTreeMap<String, PathBuf>>;

#[test]
fn no_folder_uses_one_that_uses_it() {
    let uses = uses(Path::new("src"));
    assert!(uses.len() > 20, "the folders were read: {:?}", uses.keys());
    let circles: Vec<String> = uses.keys().filter_map(|folder| circle(&uses, folder)).collect();
    assert!(circles.is_empty(), "folders in a circle:\n{}", circles.join("\n"));
}

#[test]
fn only_frameworks_and_the_jobs_words_name_a_framework() {
    let mut files = Vec::new();
    collect(Path::new("src"), &mut files);
    files.retain(|path| !path.starts_with("src/frameworks") && !path.starts_with("src/job"));
    assert!(files.len() > 100, "{} files were read", files.len());
    let naming: Vec<String> = files
        .iter()
        .filter(|path| !is_of_tests(path))
        .filter_map(|path| {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let named = named_framework(stem).or_else(|| named_framework(&fs::read_to_string(path).unwrap()));
            Some(format!("{}: {}", path.display(), named?))
        })
        .collect();
    assert!(naming.is_empty(), "a fact for `src/frameworks/*/profile.rs`:\n{}", naming.join("\n"));
}

#[test]
fn every_way_of_naming_a_framework_counts() {
    for source in [
        "if f == Framework::FSDP {",
        "use crate::job::Framework as F;",
        "use crate::job::Framework::*;",
        "if layers == Layers::Torchtitan {",
        "mod litgpt;",
        "const LITGPT_CHUNK: u64 = 128;",
        "fn of_megatrons_buffers() {",
        "let x = hugging_face(\"a\");",
    ] {
        assert!(named_framework(source).is_some(), "{source}");
    }
    for source in [
        "fn f(framework: Framework) {",
        "x; // Framework::FSDP",
        "let words = \"litgpt \\\"pretrain\\\", \\\n torchtune\"; // of launchers",
        "if sharding == Sharding::FSDP {",
        "#[cfg(test)]\nmod tests { Framework::FSDP }",
    ] {
        assert!(named_framework(source).is_none(), "{source}");
    }
}

#[test]
fn the_page_of_the_architecture_names_every_folder() {
    let page = include_str!("../ARCHITECTURE.md");
    let mut missing: Vec<String> = Vec::new();
    for root in ["src", "tests"] {
        for entry in fs::read_dir(root).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            let named = match (path.is_dir(), root) {
                (true, "src") => page.contains(&format!("`{name}/")),
                (true, _) => page.contains(&format!("tests/{name}/")),
                // A file beside a folder of its name belongs to that.
                (false, "src") => path.with_extension("").is_dir() || page.contains(&format!("`{name}`")),
                (false, _) => true,
            };
            if !named && !["lib.rs", "main.rs"].contains(&name.as_str()) {
                missing.push(path.display().to_string());
            }
        }
    }
    missing.sort();
    assert!(missing.is_empty(), "not in ARCHITECTURE.md: {missing:?}");
}

#[test]
fn a_circle_is_found_with_the_files_that_make_it() {
    let file = PathBuf::from("src/a.rs");
    let uses_one = |folder: &str| BTreeMap::from([(folder.to_owned(), file.clone())]);
    let uses =
        Uses::from([("a".into(), uses_one("b")), ("b".into(), uses_one("c")), ("c".into(), uses_one("a"))]);
    assert_eq!(
        circle(&uses, "a").unwrap(),
        "a uses b (src/a.rs), which uses c (src/a.rs), which uses a (src/a.rs)"
    );
}

#[test]
fn every_way_of_writing_a_use_counts() {
    let source = "use crate::job::{\n    Ask, // crate::tls\n};\nuse crate::{units, report::Style};\n\
                  fn f() { crate::kinds::of(); }\n#[cfg(test)]\nmod tests { use crate::webhook; }\n";
    let found: Vec<_> = folders_of(source).into_iter().collect();
    assert_eq!(found, ["job", "kinds", "report", "units"]);
}

/// A way from a folder back to itself, in words.
fn circle(uses: &Uses, start: &str) -> Option<String> {
    let mut ways = vec![vec![start.to_owned()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        let Some(used) = way.last().and_then(|last| uses.get(last)) else { continue };
        for folder in used.keys() {
            let longer: Vec<String> = way.iter().chain([folder]).cloned().collect();
            if folder == start {
                let steps = longer.windows(2).map(|pair| match pair {
                    [from, to] => format!("uses {to} ({})", uses[from][to].display()),
                    _ => String::new(),
                });
                return Some(format!("{start} {}", steps.collect::<Vec<_>>().join(", which ")));
            }
            if seen.insert(folder.clone()) {
                ways.push(longer);
            }
        }
    }
    None
}

fn uses(root: &Path) -> Uses {
    let mut files = Vec::new();
    collect(root, &mut files);
    let folder = |path: &Path| {
        let inside = path.strip_prefix(root).ok()?.components().next()?;
        let name = Path::new(inside.as_os_str()).file_stem()?.to_str()?.to_owned();
        (!matches!(name.as_str(), "lib" | "main")).then_some(name)
    };
    let folders: BTreeSet<String> = files.iter().filter_map(|path| folder(path)).collect();
    let mut uses = Uses::new();
    for path in files.iter().filter(|path| !is_of_tests(path)) {
        let Some(own) = folder(path) else { continue };
        let used = uses.entry(own.clone()).or_default();
        for other in folders_of(&fs::read_to_string(path).unwrap()) {
            if other != own && folders.contains(&other) {
                used.entry(other).or_insert_with(|| path.clone());
            }
        }
    }
    uses
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Whether a whole file is one of tests.
fn is_of_tests(path: &Path) -> bool {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    matches!(name, "tests" | "hostile" | "examples") || name.ends_with("_tests")
}

/// What names a framework in the code: a value of `Framework`, another name for that type, or an identifier that contains the name
/// of one. FSDP and DeepSpeed's ZeRO are ways of sharding too, so `FSDP` alone names no framework.
fn named_framework(source: &str) -> Option<String> {
    let code = identifiers_of(source);
    if code.contains("Framework::") || code.contains("Framework as ") {
        return Some("Framework::".to_owned());
    }
    let names: Vec<String> = Framework::ALL.iter().map(|framework| framework.name().to_lowercase()).collect();
    let named = |identifier: &&str| {
        let plain = identifier.replace('_', "").to_lowercase();
        names.iter().any(|name| name != "fsdp" && plain.contains(name.as_str()))
    };
    code.split(|c: char| !c.is_alphanumeric() && c != '_').find(named).map(str::to_owned)
}

/// The code of a source without comments, string literals and the tests at the file's end.
fn identifiers_of(source: &str) -> String {
    let mut rest = before_tests(source);
    let mut plain = String::new();
    while let Some(first) = rest.chars().next() {
        let skipped = match () {
            () if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            () if rest.starts_with("r#\"") => rest.find("\"#").map_or(rest.len(), |end| end + 2),
            () if rest.starts_with("'\"'") => 3,
            () if rest.starts_with("'\\\"'") => 4,
            () if first == '"' => text_length(rest),
            () => {
                plain.push(first);
                first.len_utf8()
            }
        };
        rest = rest.get(skipped..).unwrap_or_default();
    }
    plain
}

/// The length of the string literal at the beginning of a text, with its quotes.
fn text_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A source without the tests at the file's end.
fn before_tests(source: &str) -> &str {
    source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

/// The code of a source, without comments and the tests at the file's end.
fn code(source: &str) -> String {
    before_tests(source).lines().map(|line| line.split("//").next().unwrap_or_default()).collect()
}

/// The first names behind `crate::`, outside comments and the tests at the file's end.
fn folders_of(source: &str) -> BTreeSet<String> {
    let code = code(source);
    let mut found = BTreeSet::new();
    for behind in code.split("crate::").skip(1) {
        if let Some(group) = behind.strip_prefix('{') {
            found.extend(first_names(group));
        } else {
            found.insert(name(behind));
        }
    }
    found
}

/// The first name of each path of a group: `units, report::Style};` has two.
fn first_names(group: &str) -> Vec<String> {
    let (mut names, mut depth) = (vec![name(group)], 0_u32);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(group[at + 1..].trim_start())),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn name(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}
