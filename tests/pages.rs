//! The pages that list what the code has, held against it: docs/metrics.md, docs/annotations.md, docs/reads.md's table of
//! frameworks, and the tests that SECURITY.md names. The links of all pages. And the lists of suites, held against the
//! folder: a suite in none of them would never run.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use weighbridge::job::keys::KEYS;
use weighbridge::job::{Cause, Follows};

/// Every metric by the name that it is registered under.
fn registered(folder: &Path, names: &mut BTreeSet<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            registered(&path, names)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path)?;
            for registration in text.split(".register").skip(1) {
                let quoted = registration.split('"').nth(1).unwrap_or_default();
                let is_metric = |prefix: &&str| quoted.starts_with(prefix);
                if ["weighbridge_", "controller_runtime_", "leader_election_"].iter().any(is_metric) {
                    names.insert(quoted.to_owned());
                }
            }
        }
    }
    Ok(())
}

#[test]
fn the_reference_describes_every_metric_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeSet::new();
    registered(&root.join("src"), &mut names).unwrap();
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

#[test]
fn the_reference_describes_every_cause_and_no_other() {
    let reference = include_str!("../docs/metrics.md");
    let described: Vec<&str> = reference
        .split("| slug | verdict | meaning |")
        .nth(1)
        .map(|table| table.lines().skip(2).take_while(|line| line.starts_with('|')).collect())
        .unwrap_or_default();
    let row = |cause: &Cause| {
        let verdict = match cause.follows() {
            Follows::NotCovered => "Unknown",
            Follows::TrainsNothing => "NotTraining",
            Follows::NotRecognised => "Unrecognised",
        };
        format!("| {} | `{verdict}` | {} |", cause.slug(), cause.sentence())
    };
    assert_eq!(described, Cause::ALL.iter().map(row).collect::<Vec<_>>());
}

/// The tables of a data file without a comment above them that has their evidence.
fn without_evidence(file: &str) -> Vec<String> {
    let (mut comment, mut bare) = (String::new(), Vec::new());
    for line in file.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment.push_str(text);
        } else {
            if line.starts_with('[') && !comment.contains("Evidence") {
                bare.push(line.to_owned());
            }
            comment.clear();
        }
    }
    bare
}

#[test]
fn every_table_of_calibrated_constants_has_its_evidence_above() {
    assert_eq!(without_evidence(include_str!("../data/calibration.toml")), [""; 0]);
    assert_eq!(without_evidence("# Evidence: a.\n[[b]]\nc = 1\n[[d]]\n"), ["[[d]]"]);
}

/// What docs/annotations.md says before its table.
const HEADER: &str = "\
# The annotations

Made from the fields of the spec by `make generate`. Every field has one key. Its value is written as the table says, in
quotes where YAML would read a number or a boolean. `weighbridge check` and the webhook refuse a value that cannot be read,
and say what to write instead. Where a percentage is at most 1 and has no `%`, it is a ratio: `0.1` is 10 percent.

Two keys set no field of their own. `training` takes one YAML block with the fields of `TrainingEstimate.spec`; a single
key beats it. `override` takes a reason: where the policy allows it to this user, a refusal becomes an audited warning.

| key, behind `weighbridge.dev/` | field of the spec | value |
| --- | --- | --- |
";

#[test]
fn the_page_of_annotations_is_made_from_the_keys() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/annotations.md");
    let mut page = HEADER.to_owned();
    for key in KEYS.iter() {
        writeln!(page, "| `{}` | `{}` | {} |", key.name, key.path(), key.grammar.takes()).unwrap();
    }
    if env::var_os("WEIGHBRIDGE_GENERATE").is_some() {
        fs::write(&file, &page).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == page, "docs/annotations.md is stale: run `make generate`");
}

/// A page that is made from the code. `WEIGHBRIDGE_GENERATE` writes it.
#[cfg(feature = "operator")]
fn is_made(name: &str, page: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if env::var_os("WEIGHBRIDGE_GENERATE").is_some() {
        fs::write(&file, page).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == page, "docs/{name} is stale: run `make generate`");
}

#[cfg(feature = "operator")]
#[test]
fn the_schema_of_the_output_is_made_from_its_types() {
    let schema = weighbridge::report::schema();
    is_made("check-output.schema.json", &(serde_json::to_string_pretty(&schema).unwrap() + "\n"));
}

#[cfg(feature = "operator")]
#[test]
fn the_page_of_terms_is_made_from_the_terms() {
    let mut page = "\
# The words of a report

`weighbridge explain WORD` prints the same. `weighbridge explain KEY` explains the key of an annotation.

| word | meaning |
| --- | --- |
"
    .to_owned();
    for term in weighbridge::report::TERMS {
        writeln!(page, "| {} | {} |", term.name, term.meaning).unwrap();
    }
    is_made("terms.md", &page);
}

/// The rows of a table of a page, by the words in its first column.
fn rows(page: &str, heading: &str) -> BTreeSet<String> {
    let table = page.split(heading).nth(1).unwrap_or_default();
    let lines = table.lines().skip_while(|line| !line.starts_with("| ---")).skip(1);
    let lines = lines.take_while(|line| line.starts_with('|'));
    lines.filter_map(|line| Some(line.split('|').nth(1)?.trim().to_owned())).collect()
}

#[test]
fn the_page_of_what_is_read_lists_every_framework() {
    let page = include_str!("../docs/reads.md");
    let listed = rows(page, "| framework |");
    // Programs without a framework have a row too.
    let read = weighbridge::frameworks::names().chain(["own programs"]).map(str::to_owned);
    assert_eq!(listed, read.collect::<BTreeSet<String>>());
}

#[test]
fn the_page_of_what_is_read_names_every_kind() {
    let page = include_str!("../docs/reads.md");
    let paragraph = page.split("**Kinds.**").nth(1).and_then(|behind| behind.split("\n\n").next()).unwrap();
    let words: BTreeSet<&str> = paragraph.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    for kind in weighbridge::kinds::KINDS {
        assert!(words.contains(kind.kind), "docs/reads.md does not name {}", kind.kind);
    }
}

/// The text of every source file below a folder.
fn sources(folder: &Path, text: &mut String) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, text)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text.push_str(&fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

#[test]
fn every_sentence_of_the_security_page_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    for folder in ["src", "tests"] {
        sources(&root.join(folder), &mut code).unwrap();
    }
    let page = include_str!("../SECURITY.md");
    let rows: Vec<&str> =
        page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---")).collect();
    let claims: Vec<&str> = rows.into_iter().filter(|row| !row.ends_with("| held by |")).collect();
    assert!(claims.len() > 20, "{claims:?}");
    for claim in claims {
        let held_by = claim.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        let tests: Vec<&str> = held_by.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test holds: {claim}");
        for test in tests {
            assert!(code.contains(&format!("fn {test}(")), "there is no test {test}");
        }
    }
}

/// The names of the modules in a folder: a file of Rust, or a folder with `mod.rs`.
fn modules(folder: &Path) -> std::io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.join("mod.rs").is_file() || path.extension().is_some_and(|ending| ending == "rs") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    Ok(names)
}

#[test]
fn every_suite_belongs_to_one_of_the_test_binaries() {
    let there = modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")).unwrap();
    let binaries = [("local", include_str!("local.rs")), ("kubernetes", include_str!("kubernetes.rs"))];
    let mut listed: BTreeSet<String> = binaries.iter().map(|(name, _)| (*name).to_owned()).collect();
    for line in binaries.iter().flat_map(|(_, text)| text.lines()) {
        listed.extend(line.strip_prefix("mod ").and_then(|name| name.strip_suffix(';')).map(str::to_owned));
    }
    assert_eq!(listed, there);
}

#[test]
fn the_readme_leads_to_every_page() {
    let readme = include_str!("../README.md");
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap() {
        let path = entry.unwrap().path();
        let is_page = path.extension().is_some_and(|ending| ending == "md");
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        assert!(
            !is_page || readme.contains(&format!("(docs/{name})")),
            "the README does not lead to docs/{name}"
        );
    }
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// The text outside of code: links in code are none.
fn prose(text: &str) -> String {
    let blocks = text.split("```").step_by(2).collect::<String>();
    blocks.split('`').step_by(2).collect()
}

#[test]
fn every_link_of_a_page_leads_to_a_file_and_a_heading() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [".", "docs"];
    let files = folders.iter().flat_map(|folder| fs::read_dir(root.join(folder)).unwrap());
    let pages: Vec<_> = files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .collect();
    let (mut links, mut broken) = (0, Vec::new());
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        for link in prose(&text).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            links += 1;
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone() } else { page.with_file_name("").join(path) };
            let has_heading = |text: String| {
                text.lines()
                    .filter_map(|line| line.strip_prefix('#'))
                    .any(|line| anchor(&line.trim_start_matches('#').replace('`', "")) == heading)
            };
            let leads = match heading {
                "" => target.exists(),
                _ => fs::read_to_string(&target).is_ok_and(has_heading),
            };
            if !leads {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(links > 50, "only {links} links were found");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
