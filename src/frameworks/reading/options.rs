//! The options that the releases of a framework know, and what each changes.
//!
//! A list is written by `make options` from the released packages: name, type, default and releases, a line for each
//! option. What an option changes follows from these rules, the first that holds:
//!
//! 1. A reader asks for it: it is **read**.
//! 2. Its value is its default, or is off: it is **inert**.
//! 3. A correction of the list names it: it opens the subjects of the correction. Without any it is inert.
//! 4. The [words](super::subjects) of its name are about a subject: it opens the subject's fields.
//! 5. Otherwise it is inert.
//!
//! A snapshot beside each list shows the effect of every option. A new release shows there what is new.

use crate::frameworks::reading::subjects::Subject;

/// The options of a framework.
#[derive(Debug)]
pub(crate) struct List {
    /// The file, sorted by name.
    pub(crate) text: &'static str,
    /// Where the words of a name say the wrong thing.
    pub(crate) corrections: &'static [Correction],
}

/// The effect of some options, if the words of their names say another.
#[derive(Debug)]
pub(crate) struct Correction {
    /// The options, with spaces between. A `*` at the end of a name stands for any ending.
    names: &'static str,
    /// What they may change. Empty for options that change neither memory nor time.
    pub(crate) opens: &'static [Subject],
    /// Why.
    #[cfg_attr(not(test), expect(dead_code, reason = "the snapshots show it"))]
    pub(crate) why: &'static str,
}

impl Correction {
    /// The options.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.names.split_ascii_whitespace()
    }
}

/// Options that change neither memory nor time, and why.
pub(crate) const fn inert(names: &'static str, why: &'static str) -> Correction {
    Correction { names, opens: &[], why }
}

/// Options that may change what these subjects are about, and why.
pub(crate) const fn opens(names: &'static str, opens: &'static [Subject], why: &'static str) -> Correction {
    Correction { names, opens, why }
}

/// An option of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    list: &'static List,
    /// Its name, as the list writes it.
    pub(crate) name: &'static str,
    default: &'static str,
}

impl List {
    /// The framework and its releases: `Transformers 4.57.1, 5.24.0`.
    pub(crate) fn title(&self) -> &'static str {
        let title = self.text.strip_prefix("# ").and_then(|text| text.split_once(':'));
        title.map_or("", |(title, _)| title)
    }

    /// The option of this name. A key within groups is also found without the groups, and then by its groups alone.
    pub(crate) fn find(&'static self, name: &str) -> Option<Known> {
        let name = name.trim_start_matches('-');
        let inner = name.match_indices('.').filter_map(|(at, _)| name.get(at + 1..));
        let groups = name.rmatch_indices('.').filter_map(|(at, _)| name.get(..at));
        std::iter::once(name).chain(inner).chain(groups).find_map(|name| self.line(name))
    }

    /// A binary search among the lines.
    fn line(&'static self, name: &str) -> Option<Known> {
        let plain = |byte| if byte == b'-' { b'_' } else { byte };
        let (mut low, mut high) = (0, self.text.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            let start = self.text.get(low..middle)?.rfind('\n').map_or(low, |at| low + at + 1);
            let end = self.text.get(middle..high)?.find('\n').map_or(high, |at| middle + at);
            let known = Known::of(self, self.text.get(start..end)?);
            match known.name.bytes().cmp(name.bytes().map(plain)) {
                std::cmp::Ordering::Equal => return Some(known),
                std::cmp::Ordering::Less => low = end + 1,
                std::cmp::Ordering::Greater => high = start,
            }
        }
        None
    }

    /// All options.
    pub(crate) fn all(&'static self) -> impl Iterator<Item = Known> {
        let lines = self.text.lines().filter(|line| !line.starts_with('#'));
        lines.map(move |line| Known::of(self, line))
    }

    /// The option that a misspelt name may mean.
    pub(crate) fn nearest(&'static self, name: &str) -> Option<&'static str> {
        const SHORTEST: usize = 6;
        const LONGEST: usize = 64;
        const ENDS: usize = 4;
        let name = name.trim_start_matches('-').replace('-', "_");
        if !(SHORTEST..=LONGEST).contains(&name.len()) {
            return None;
        }
        let slips = if name.len() < 2 * SHORTEST { 1 } else { 2 };
        // Few misspell a name at both its ends.
        let is_like = |known: &str| {
            let same = |one: Option<&str>, other: Option<&str>| one.is_some() && one == other;
            let from = |text: &str| text.len().checked_sub(ENDS);
            known.len().abs_diff(name.len()) <= slips
                && (same(known.get(..ENDS), name.get(..ENDS))
                    || same(
                        from(known).and_then(|at| known.get(at..)),
                        from(&name).and_then(|at| name.get(at..)),
                    ))
        };
        let like = self.all().filter(|known| is_like(known.name));
        let distances = like.map(|known| (strsim::damerau_levenshtein(&name, known.name), known.name));
        distances.min().filter(|(distance, _)| *distance <= slips).map(|(_, known)| known)
    }
}

impl Known {
    fn of(list: &'static List, line: &'static str) -> Self {
        let mut columns = line.split('\t');
        let name = columns.next().unwrap_or_default();
        Self { list, name, default: columns.nth(1).unwrap_or_default() }
    }

    /// The correction of its effect, if there is one.
    pub(crate) fn correction(self) -> Option<&'static Correction> {
        let is = |name: &str| match name.strip_suffix('*') {
            Some(start) => self.name.starts_with(start),
            None => self.name == name,
        };
        self.list.corrections.iter().find(|correction| correction.names().any(is))
    }

    /// Whether this value is what holds without the option.
    pub(crate) fn is_default(self, value: &str) -> bool {
        let plain = |text: &str| text.trim_matches(['"', '\'', ' ']).to_ascii_lowercase();
        !self.default.is_empty() && plain(self.default) == plain(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static LIST: List = List {
        text: "# Framework 1, 2: written\n# 1: source\nA_B\tenvironment\na\tint\t1\na_b.c\tstr\t'x'\t2\na_c\nlora_alpha\nz\n",
        corrections: &[opens("a_*", &[Subject::Length], "a reason")],
    };

    #[test]
    fn every_line_of_a_list_is_found_by_its_name() {
        for known in LIST.all() {
            assert_eq!(LIST.find(known.name).map(|found| found.name), Some(known.name));
        }
        assert_eq!(LIST.all().count(), 6);
        for unknown in ["", "#", "b", "zz", "a_", "A", "# Framework 1, 2", "\n"] {
            assert!(LIST.find(unknown).is_none(), "{unknown:?}");
        }
        assert_eq!(LIST.title(), "Framework 1, 2");
    }

    #[test]
    fn a_name_is_found_in_every_spelling() {
        for (written, name) in [("--a-c", "a_c"), ("group.a_c", "a_c"), ("x.a_b.c", "a_b.c"), ("A_B", "A_B")]
        {
            assert_eq!(LIST.find(written).map(|known| known.name), Some(name), "{written}");
        }
    }

    #[test]
    fn a_default_is_known_in_every_spelling() {
        let find = |name| LIST.find(name).unwrap();
        assert!(find("a").is_default("1") && find("a_b.c").is_default("X"));
        assert!(!find("a").is_default("2") && !find("a_c").is_default(""));
    }

    #[test]
    fn only_a_misspelt_name_has_a_nearest_one() {
        assert_eq!(LIST.nearest("--lora_alpah"), Some("lora_alpha"));
        assert_eq!(LIST.nearest("lora-beta"), None);
        assert_eq!(LIST.nearest("b"), None);
    }

    #[test]
    fn a_correction_holds_for_every_ending() {
        assert!(LIST.find("a_c").and_then(Known::correction).is_some());
        assert!(LIST.find("a").and_then(Known::correction).is_none());
    }
}
