//! The texts for people: warnings, refusals and audit notes.
//!
//! A warning is one line of at most 120 characters without control characters. Clients cut longer lines, and a
//! terminal would obey an escape sequence. A text that is too long is shortened at the end of a part, so that what is shown
//! is whole. A judgement quotes no other object than the request's, so its texts may be passed on.
//!
//! A message about a job begins with its kind and name: one `kubectl apply` may create many.

use crate::job::InputError;
use crate::judgement::{Judgement, Verdict};
use crate::printable::is_printable;
use crate::verdict::accelerator_with_article;

/// The longest line of a warning.
pub const WARNING: usize = 120;
/// The longest value of an audit annotation, and the longest line of a refusal.
pub const LINE: usize = 512;
/// A part of a warning that is shorter says too little.
const LEAST_PART: usize = 48;
/// The most warnings of a judgement. A longer list is not read.
const WARNINGS: usize = 8;
/// The most causes of a refusal. Users fix few at a time.
const CAUSES: usize = 32;

/// The text in one line of at most `longest` characters.
pub fn one_line(text: &str, longest: usize) -> String {
    let visible = |c: char| if is_printable(c) { c } else { ' ' };
    let line: String = text.trim().chars().map(visible).take(longest + 1).collect();
    if line.chars().count() > longest {
        let cut: String = line.chars().take(longest.saturating_sub(1)).collect();
        // A word that is cut is dropped, unless it is most of the line.
        let whole = cut.rsplit_once(' ').map(|(whole, _)| whole).filter(|whole| whole.len() * 2 > cut.len());
        return format!("{}…", whole.unwrap_or(&cut).trim_end_matches([' ', ',', ';', ':']));
    }
    line
}

/// A warning. A longer text ends with a whole part, before a comma or a semicolon, if it has one.
pub fn warning(text: &str) -> String {
    let line = one_line(text, LINE);
    if line.chars().count() <= WARNING {
        return line;
    }
    let within = line.char_indices().nth(WARNING + 1).and_then(|(end, _)| line.get(..end)).unwrap_or(&line);
    let mut ends = within.rmatch_indices([',', ';']).map(|(end, _)| end);
    // A comma within parentheses ends no part.
    let is_end = |end: &usize| {
        let part = within.get(..*end).unwrap_or_default();
        part.matches('(').count() == part.matches(')').count() && *end >= LEAST_PART
    };
    match ends.find(is_end).and_then(|end| within.get(..end)) {
        Some(part) => part.to_owned(),
        None => one_line(text, WARNING),
    }
}

/// The subject of a message: `pytorchjob/llama2-70b`.
pub fn subject(kind: &str, name: &str) -> String {
    let kind = kind.to_lowercase();
    if name.is_empty() { kind } else { format!("{kind}/{name}") }
}

/// What the job does, after its subject: `pytorchjob/a needs 97.4 GiB`, `job/b: the model is not known`.
fn about(subject: &str, text: &str) -> String {
    let is_predicate =
        ["needs ", "may run out", "contradicts itself"].iter().any(|start| text.starts_with(start));
    if is_predicate { format!("{subject} {text}") } else { format!("{subject}: {text}") }
}

/// The warning about a job that would be refused, or that may not fit: the fullest sentence that has room.
pub fn doubt(subject: &str, judgement: &Judgement, refused: bool) -> String {
    let said = |text: &str| {
        if refused { format!("{subject} would be refused: {text}") } else { about(subject, text) }
    };
    let advice = judgement.advice.first().map(|advice| format!("; {} fits", advice.change));
    let advice = advice.unwrap_or_default();
    let may = if judgement.verdict == Verdict::Tight { "may run out: " } else { "" };
    let card = judgement.summary.accelerator_name.as_deref().unwrap_or("accelerator");
    let need = judgement.memory.as_ref().and_then(|memory| Some((memory.peak_bytes, memory.capacity_bytes?)));
    let shorter = need.filter(|_| judgement.verdict != Verdict::Unknown).map(|(peak, capacity)| {
        let short = format!("{may}needs {peak} per GPU of {capacity}");
        [
            format!(
                "{may}needs {peak} per GPU, {} offers {capacity}{advice}",
                accelerator_with_article(card)
            ),
            format!("{short}{advice}"),
            short,
        ]
    });
    let texts = std::iter::once(judgement.message.clone()).chain(shorter.into_iter().flatten());
    let fitting = texts.map(|text| said(&text)).find(|line| line.chars().count() <= WARNING);
    warning(&fitting.unwrap_or_else(|| said(&judgement.message)))
}

/// A warning with a subject in front, which is never cut.
pub fn warning_about(subject: &str, text: &str) -> String {
    warning(&format!("{subject}: {text}"))
}

/// The judgement's own warnings.
pub fn warnings(judgement: &Judgement) -> Vec<String> {
    judgement.warnings.iter().take(WARNINGS).map(|text| warning(text)).collect()
}

/// The first line of a refusal. kubectl shows only this line, so it is complete in itself.
pub fn refusal(subject: &str, judgement: &Judgement) -> String {
    one_line(&about(subject, &judgement.message), LINE)
}

/// The audit notes about resources besides device memory.
pub const RESOURCES: [&str; 3] = ["host-memory", "shared-memory", "storage"];

/// The warnings about resources besides device memory.
pub fn resources(subject: &str, judgement: &Judgement) -> Vec<String> {
    let mut lines = Vec::new();
    for (_, resource) in judgement.resources() {
        if matches!(resource.verdict, Verdict::OutOfMemory | Verdict::Tight) {
            lines.push(warning(&about(subject, &resource.message)));
        }
        lines.extend(resource.warnings.iter().map(|line| warning_about(subject, line)));
    }
    lines
}

/// The first line of a refusal for a resource besides device memory.
pub fn resource_refusal(subject: &str, judgement: &Judgement) -> String {
    let message = judgement.refused_resource().map(|resource| resource.message.as_str()).unwrap_or_default();
    one_line(&about(subject, message), LINE)
}

/// The errors of the object, in one line.
pub fn malformed(subject: &str, errors: &[InputError]) -> String {
    let line = match errors {
        [] => format!("{subject} could not be read"),
        [one] => format!("{subject}: {}", one.message),
        [first, others @ ..] => {
            let more = others.len();
            let first = format!("{subject}: {}", first.message);
            format!("{} (and {more} more)", one_line(&first, LINE - 20))
        }
    };
    one_line(&line, LINE)
}

/// The field and message of each error that becomes a cause.
pub fn causes(errors: &[InputError]) -> impl Iterator<Item = (String, String)> {
    errors.iter().take(CAUSES).map(|error| (one_line(&error.field, LINE), one_line(&error.message, LINE)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::judgement;
    use crate::job::TrainingJob;
    use crate::judgement::{Advice, Memory, Summary};
    use crate::units::Bytes;

    #[test]
    fn a_line_has_no_control_characters() {
        assert_eq!(one_line("a\nb\u{1b}[31mc\u{2028}d", 120), "a b [31mc d");
        assert_eq!(one_line("  \n ", 120), "");
        assert_eq!(one_line("a\u{200b}b\u{2066}c\u{feff}", 120), "a b c ");
    }

    #[test]
    fn a_long_word_is_cut_by_characters_and_ends_in_an_ellipsis() {
        let cut = one_line(&"ü".repeat(200), WARNING);
        assert_eq!(cut.chars().count(), WARNING);
        assert!(cut.ends_with("ü…"));
        assert_eq!(one_line(&"ü".repeat(120), WARNING), "ü".repeat(120));
    }

    #[test]
    fn a_long_warning_ends_with_a_whole_part() {
        let text = "needs 47.5 GiB per GPU (9.5–2482.3), an H100-80GB offers 79.1 GiB; what is missing decides: attention (up \
                    to 42.0 GiB more), loss (up to 12.1 GiB more)";
        let line = warning(text);
        assert!(line.chars().count() <= WARNING, "{line}");
        assert_eq!(line, "needs 47.5 GiB per GPU (9.5–2482.3), an H100-80GB offers 79.1 GiB");
    }

    fn refused(name: &str) -> String {
        let bytes = Bytes::from_gib;
        let memory = Memory {
            peak_bytes: bytes(97.4),
            least_bytes: bytes(92.5),
            lower_bytes: bytes(92.5),
            upper_bytes: bytes(101.0),
            allocated_bytes: bytes(94.1),
            reserved_bytes: bytes(94.5),
            process_bytes: bytes(97.4),
            capacity_bytes: Some(bytes(79.1)),
            worst_rank: String::new(),
            instant: String::new(),
            components: Vec::new(),
            phases: Vec::new(),
            instants: Vec::new(),
        };
        let advice = Advice {
            change: "sharding=distributed-optimizer".into(),
            spec: TrainingJob::default(),
            peak_bytes: bytes(49.6),
            days: None,
        };
        let judgement = Judgement {
            verdict: Verdict::OutOfMemory,
            message: "needs 97.4 GiB per GPU (at least 92.5), an A800-80GB offers 79.1 GiB; \
                      sharding=distributed-optimizer, or pipeline-parallel 4 → 8, fits"
                .into(),
            summary: Summary { accelerator_name: Some("A800-80GB".into()), ..Summary::default() },
            memory: Some(memory),
            advice: vec![advice],
            ..judgement()
        };
        doubt(&subject("PyTorchJob", name), &judgement, true)
    }

    #[test]
    fn a_warning_about_a_refusal_is_the_fullest_sentence_that_has_room() {
        for (name, line) in [
            (
                "a",
                "pytorchjob/a would be refused: needs 97.4 GiB per GPU, an A800-80GB offers 79.1 GiB; \
                 sharding=distributed-optimizer fits",
            ),
            (
                "llama2-70b",
                "pytorchjob/llama2-70b would be refused: needs 97.4 GiB per GPU of 79.1 GiB; \
                 sharding=distributed-optimizer fits",
            ),
            (
                "llama2-70b-on-the-new-cluster",
                "pytorchjob/llama2-70b-on-the-new-cluster would be refused: needs 97.4 GiB per GPU of 79.1 GiB",
            ),
        ] {
            assert_eq!(refused(name), line);
            assert!(line.chars().count() <= WARNING);
        }
    }

    #[test]
    fn a_refusal_begins_with_kind_and_name() {
        let needs = Judgement { message: "needs 97.4 GiB".into(), ..judgement() };
        assert_eq!(refusal("pytorchjob/a", &needs), "pytorchjob/a needs 97.4 GiB");
        let unknown = Judgement { message: "the model x is not known".into(), ..judgement() };
        assert_eq!(refusal("job/b", &unknown), "job/b: the model x is not known");
    }

    #[test]
    fn the_first_error_is_shown_and_the_others_are_counted() {
        let error = |message: &str| InputError { field: "f".into(), message: message.into() };
        assert_eq!(
            malformed("job/a", &[error("tensor-parallel=\"x\" is no count")]),
            "job/a: tensor-parallel=\"x\" is no count"
        );
        assert_eq!(malformed("job/x", &[error("a"), error("b"), error("c")]), "job/x: a (and 2 more)");
        assert_eq!(causes(&vec![error("a"); 100]).count(), CAUSES);
    }
}
