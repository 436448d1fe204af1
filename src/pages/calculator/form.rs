//! The page of the calculator. Its form is made from the table of fields: a field of the spec is on the page as soon as it
//! is declared, with its explanation.

use super::Place;
use crate::hardware::Catalogue;
use crate::job::grammar::Grammar;
use crate::job::keys::{KEYS, Key};
use crate::model::known;
use crate::pages::markup::{joined, text};
use crate::report::{self, label};

/// The groups of the form, and the keys that stand in each. All other keys are behind "All other fields".
const GROUPS: &[(&str, &[&str])] = &[
    (
        "What is trained",
        &[
            "model",
            "parameters",
            "tokens",
            "method",
            "sequence-length",
            "global-batch-size",
            "micro-batch-size",
        ],
    ),
    ("On which GPUs", &["gpu-type", "accelerator-count"]),
    (
        "How the work is divided",
        &[
            "framework",
            "sharding",
            "tensor-parallel",
            "pipeline-parallel",
            "context-parallel",
            "expert-parallel",
            "sequence-parallel",
        ],
    ),
    ("What saves memory", &["recompute", "precision", "optimizer", "attention", "offload"]),
    ("Time and cost", &["mfu", "price-per-gpu-hour"]),
];

/// What the fields that are written take: a unit, if there is one, and an example. Others show what their grammar takes.
const EXAMPLES: &[(&str, &str, &str)] = &[
    ("model", "", "llama-3-8b"),
    ("parameters", "", "8B"),
    ("tokens", "", "2T"),
    ("sequence-length", "tokens", "4096"),
    ("global-batch-size", "sequences", "1024"),
    ("micro-batch-size", "sequences", "1"),
    ("gpu-type", "", "A100-80GB"),
    ("accelerator-count", "GPUs", "1024"),
    ("tensor-parallel", "GPUs", "8"),
    ("pipeline-parallel", "stages", "4"),
    ("context-parallel", "GPUs", "2"),
    ("expert-parallel", "GPUs", "8"),
    ("offload", "", "optimizer"),
    ("mfu", "percent", "40"),
    ("price-per-gpu-hour", "", "2.5 EUR"),
];

/// The whole page.
pub(super) fn page(catalogue: &Catalogue, place: Place) -> String {
    let groups = joined(GROUPS.iter().map(|(name, keys)| {
        let keys = keys.iter().filter_map(|name| KEYS.iter().find(|key| key.name == *name));
        let days = if *name == "Time and cost" { DAYS } else { "" };
        let fields = joined(keys.map(field));
        format!("<fieldset><legend>{name}</legend>\n{fields}{days}</fieldset>\n")
    }));
    let shown = |key: &&Key| GROUPS.iter().any(|(_, keys)| keys.contains(&key.name));
    let others: String = KEYS.iter().filter(|key| !shown(key)).map(field).collect();
    let options = |names: &mut dyn Iterator<Item = &str>| {
        joined(names.map(|name| format!("<option value=\"{}\">", text(name))))
    };
    let models = options(&mut known::all().iter().map(|model| model.name.as_str()));
    let devices = options(&mut catalogue.all().iter().map(|accelerator| accelerator.name.as_str()));
    include_str!("calculator.html")
        .replace("{groups}", &groups)
        .replace("{others}", &others)
        .replace("{models}", &models)
        .replace("{devices}", &devices)
        .replace("{place}", place.words())
        .replace("{version}", env!("CARGO_PKG_VERSION"))
}

/// The target is a question for the layouts, and no field of the job.
const DAYS: &str = "<div class=\"field\"><label for=\"days\">days, at most <span class=\"unit\">like 90</span></label>\n<input id=\"days\" name=\"days\" \
                    inputmode=\"decimal\" autocomplete=\"off\" aria-describedby=\"days-hint\">\n<p class=\"hint\" id=\"days-hint\">The \
                    layouts are then on the smallest cluster that ends in time.</p>\n<p class=\"wrong\" id=\"days-wrong\"></p></div>\n";

fn field(key: &Key) -> String {
    let name = key.name;
    let about = report::description(key.path()).unwrap_or_default();
    let control = match key.grammar {
        Grammar::Word { words, .. } => choice(name, words),
        Grammar::Boolean => choice(name, &["true", "false"]),
        grammar => {
            let kind = match grammar {
                Grammar::Whole { .. } => " inputmode=\"numeric\"",
                _ => "",
            };
            let list = match name {
                "model" => " list=\"models\"",
                "gpu-type" => " list=\"devices\"",
                _ => "",
            };
            format!(
                "<input id=\"{name}\" name=\"{name}\"{kind}{list} autocomplete=\"off\" spellcheck=\"false\" \
                 aria-describedby=\"{name}-hint {name}-wrong\">\n"
            )
        }
    };
    format!(
        "<div class=\"field\"><label for=\"{name}\">{}{}</label>\n{control}<p class=\"hint\" id=\"{name}-hint\">{} <em>{}</em></p>\n\
         <p class=\"wrong\" id=\"{name}-wrong\"></p></div>\n",
        text(&label(key)),
        text_of_unit(key),
        text(about.replace('`', "").split("\n\n").next().unwrap_or_default()),
        text(&key.grammar.takes()),
    )
}

/// ` tokens, like 4096`, beside the label of a field that is written.
fn text_of_unit(key: &Key) -> String {
    let known = EXAMPLES.iter().find(|(name, ..)| *name == key.name);
    let shown = match (known, key.grammar) {
        (_, Grammar::Word { .. } | Grammar::Boolean) => return String::new(),
        (Some((_, "", example)), _) => format!("like {example}"),
        (Some((_, unit, example)), _) => format!("{unit}, like {example}"),
        (None, grammar) => grammar.takes(),
    };
    format!(" <span class=\"unit\">{}</span>", text(&shown))
}

fn choice(name: &str, words: &[&str]) -> String {
    let options = joined(words.iter().map(|word| format!("<option value=\"{0}\">{0}</option>", text(word))));
    format!(
        "<select id=\"{name}\" name=\"{name}\" aria-describedby=\"{name}-hint {name}-wrong\"><option value=\"\">not \
         stated</option>{options}</select>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::settings;

    #[test]
    fn every_field_is_on_the_page_once_with_a_label_and_an_explanation() {
        let page = page(Catalogue::builtin(), Place::ThisMachine);
        for key in KEYS.iter() {
            for part in [format!(" name=\"{}\"", key.name), format!("<label for=\"{}\"", key.name)] {
                assert_eq!(page.matches(&part).count(), 1, "{part}");
            }
            assert!(page.contains(&format!("id=\"{}-hint\"", key.name)), "{}", key.name);
        }
        for (_, keys) in GROUPS {
            assert!(keys.iter().all(|name| KEYS.iter().any(|key| key.name == *name)), "{keys:?}");
        }
    }

    #[test]
    fn a_field_that_is_written_shows_an_example_that_can_be_read() {
        for (name, _, example) in EXAMPLES {
            assert!(settings::named(name, example).is_ok(), "{name}: {example}");
        }
        let page = page(Catalogue::builtin(), Place::ThisMachine);
        assert!(page.contains("sequence length <span class=\"unit\">tokens, like 4096</span></label>"));
        let written = GROUPS
            .iter()
            .flat_map(|(_, keys)| *keys)
            .filter_map(|name| KEYS.iter().find(|key| key.name == *name));
        let written = written.filter(|key| !matches!(key.grammar, Grammar::Word { .. } | Grammar::Boolean));
        for key in written {
            assert!(EXAMPLES.iter().any(|(name, ..)| *name == key.name), "{}", key.name);
        }
    }

    #[test]
    fn the_page_names_nothing_elsewhere() {
        let page = page(Catalogue::builtin(), Place::ThisMachine);
        for forbidden in ["http://", "https://", "//cdn", "style=", "onclick", "{groups}", "{models}"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }
}
