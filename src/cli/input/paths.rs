//! The files that a path names.
//!
//! `-` is standard input. A file is read with any name. A folder is searched with all its subfolders for *.yaml,
//! *.yml and *.json, in the order of their names, so that the same tree always gives the same report. Pipes and
//! sockets in it are skipped, since reading them could block. So are hidden files and folders, such as `.github`, and what
//! matches an ignored pattern. A pattern is compared with the name and with the path below the folder; a star stands for
//! any text.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Unreadable;
use crate::report::Place;

/// More than the dump of any cluster. Reading a device file without an end stops here.
const MAX_BYTES: u64 = 256 << 20;

const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// A source to read.
pub(super) enum Source {
    StandardInput,
    File(PathBuf),
}

/// The text of a source.
pub(super) struct Text {
    pub(super) name: String,
    pub(super) content: String,
}

/// The sources that a path names.
pub(super) fn sources(path: &Path, ignored: &[String]) -> Vec<Result<Source, Unreadable>> {
    if path == Path::new("-") {
        return vec![Ok(Source::StandardInput)];
    }
    if !path.is_dir() {
        return vec![Ok(Source::File(path.to_owned()))];
    }
    let mut found = Vec::new();
    search(path, path, ignored, &mut found);
    if found.is_empty() {
        found.push(Err(unreadable(path.display().to_string(), &"holds no *.yaml, *.yml or *.json file")));
    }
    found
}

/// Whether a file or folder below `root` is left out.
fn is_ignored(root: &Path, path: &Path, ignored: &[String]) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let below = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
    let matches = |pattern: &String| {
        let pattern = pattern.trim_end_matches('/');
        is_like(&name, pattern) || is_like(&below, pattern)
    };
    name.starts_with('.') || ignored.iter().any(matches)
}

/// Whether a text has the form of a pattern, in which a star stands for any text.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

fn search(root: &Path, folder: &Path, ignored: &[String], found: &mut Vec<Result<Source, Unreadable>>) {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => return found.push(Err(unreadable(folder.display().to_string(), &error))),
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if is_ignored(root, &path, ignored) {
            continue;
        }
        // A link to a folder may lead back up. A link to a file counts as the file.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            search(root, &path, ignored, found);
        } else if path.extension().is_some_and(|e| EXTENSIONS.iter().any(|known| e == *known))
            // A missing file is a broken link. Reading it reports that.
            && fs::metadata(&path).map_or(true, |found| found.is_file())
        {
            found.push(Ok(Source::File(path)));
        }
    }
}

impl Source {
    /// Reads the whole source.
    pub(super) fn read(&self) -> Result<Text, Unreadable> {
        let (name, bytes) = match self {
            Self::StandardInput => ("standard input".to_owned(), all_of(io::stdin().lock())),
            Self::File(path) => (path.display().to_string(), File::open(path).and_then(all_of)),
        };
        let content = bytes.and_then(|bytes| {
            let not_text = |_| io::Error::other("is not UTF-8 text; save it as UTF-8");
            String::from_utf8(bytes).map_err(not_text)
        });
        match content {
            Ok(content) => Ok(Text { name, content }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(unreadable(name, &"there is no such file or folder"))
            }
            Err(error) => Err(unreadable(name, &error)),
        }
    }
}

fn all_of(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("is larger than {} MiB; split it", MAX_BYTES >> 20)));
    }
    Ok(bytes)
}

fn unreadable(file: String, problem: &dyn Display) -> Unreadable {
    Unreadable { place: Place { file, document: None, line: None }, problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_searched_in_the_order_of_names() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        fs::create_dir_all(folder.path().join("b"))?;
        for name in ["b/deep.json", "c.yml", "a.yaml", "README.md"] {
            fs::write(folder.path().join(name), "")?;
        }
        let names: Vec<_> = sources(folder.path(), &[])
            .into_iter()
            .filter_map(|source| match source {
                Ok(Source::File(path)) => path.strip_prefix(folder.path()).ok().map(Path::to_owned),
                _ => None,
            })
            .collect();
        assert_eq!(names, ["a.yaml", "b/deep.json", "c.yml"].map(PathBuf::from));
        Ok(())
    }

    #[test]
    fn hidden_and_ignored_files_are_left_out() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        for name in [".github/ci.yaml", "charts/x/a.yaml", "b.test.yaml", "c.yaml", "deep/charts.yaml"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap_or(folder.path()))?;
            fs::write(path, "")?;
        }
        let ignored = ["charts/", "*.test.yaml"].map(str::to_owned);
        let found = sources(folder.path(), &ignored);
        let names = found.iter().filter_map(|source| match source {
            Ok(Source::File(path)) => path.strip_prefix(folder.path()).ok(),
            _ => None,
        });
        assert_eq!(names.collect::<Vec<_>>(), [Path::new("c.yaml"), Path::new("deep/charts.yaml")]);
        Ok(())
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (text, pattern, like) in [
            ("a.yaml", "*.yaml", true),
            ("a/b/c.yaml", "a/*/c.yaml", true),
            ("abc", "a*c*", true),
            ("ab", "a*b*c", false),
            ("abc", "abc", true),
            ("abcd", "abc", false),
            ("aa", "a*a*a", false),
        ] {
            assert_eq!(is_like(text, pattern), like, "{text} {pattern}");
        }
    }

    #[test]
    fn pipes_and_sockets_in_a_folder_are_skipped() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let _listener = std::os::unix::net::UnixListener::bind(folder.path().join("socket.yaml"))?;
        std::os::unix::fs::symlink(".", folder.path().join("loop.yaml"))?;
        std::os::unix::fs::symlink("nowhere", folder.path().join("nowhere.yaml"))?;
        let found = sources(folder.path(), &[]);
        assert!(matches!(found.as_slice(), [Ok(Source::File(path))] if path.ends_with("nowhere.yaml")));
        Ok(())
    }

    #[test]
    fn a_folder_without_manifests_is_an_error() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let found = sources(folder.path(), &[]);
        assert!(matches!(found.as_slice(), [Err(_)]));
        Ok(())
    }
}
