//! The report of `check -o html`: one file that loads nothing, for a screen in light or dark, and for paper.

use super::markup::{joined, table_of_markup, text};
use super::{Sheet, parts, scaling};
use crate::report::{TERMS, Term, figures};
use crate::units::Bytes;

const STYLE: &str = include_str!("style.css");

/// The report about the documents that train, or may train.
pub fn report(sheets: &[Sheet<'_>]) -> String {
    let title = match sheets {
        [one] => format!("{} – Weighbridge", name(one)),
        several => format!("{} jobs – Weighbridge", several.len()),
    };
    let articles: String = sheets.iter().enumerate().map(|(number, sheet)| article(number, sheet)).collect();
    let overview = if sheets.len() > 1 { overview(sheets) } else { String::new() };
    let word = |term: &Term| format!("<dt>{}</dt><dd>{}</dd>\n", text(term.name), text(term.meaning));
    let words = joined(TERMS.iter().map(word));
    let nothing = if sheets.is_empty() { "<p>Nothing here trains on accelerators.</p>\n" } else { "" };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{nothing}{overview}{articles}\
         <details class=\"words\"><summary>The words of this report</summary>\n<dl>\n{words}</dl></details>\n\
         <footer>Weighbridge {}. An estimate: each figure has an interval, and each input its source.</footer>\n\
         </main>\n</body>\n</html>\n",
        text(&title),
        env!("CARGO_PKG_VERSION"),
    )
}

fn name<'a>(sheet: &'a Sheet<'_>) -> &'a str {
    sheet.entry.name.as_deref().unwrap_or("(no name)")
}

/// A line for each job, which leads to its part of the page.
fn overview(sheets: &[Sheet<'_>]) -> String {
    let line = |(number, sheet): (usize, &Sheet<'_>)| {
        let judgement = &sheet.entry.judgement;
        let memory = judgement.memory.as_ref();
        let days = judgement.time.as_ref().and_then(|time| time.days);
        let bytes = |bytes: Option<Bytes>| bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
        vec![
            format!("<a href=\"#job-{number}\">{}</a>", text(name(sheet))),
            parts::badge(judgement.verdict),
            text(judgement.summary.model.as_deref().unwrap_or_default()),
            bytes(memory.map(|memory| memory.peak_bytes)),
            bytes(memory.and_then(|memory| memory.capacity_bytes)),
            days.map(|days| text(&figures::days(days))).unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = sheets.iter().enumerate().map(line).collect();
    let headings = ["job", "verdict", "model", "needs", "of", "days"];
    let table = table_of_markup("plain overview", &headings, &rows);
    format!("<h1>{} jobs</h1>\n{table}", sheets.len())
}

fn article(number: usize, sheet: &Sheet<'_>) -> String {
    let entry = sheet.entry;
    let judgement = &entry.judgement;
    let place = entry.place.as_ref().map(|place| format!(" · {place}")).unwrap_or_default();
    let namespace = entry.namespace.as_ref().map(|name| format!(" · namespace {name}")).unwrap_or_default();
    let asked = match (&judgement.summary.accelerators, &judgement.summary.accelerator_name) {
        (Some(count), Some(name)) => format!(" · {count} × {name}"),
        _ => String::new(),
    };
    let model = judgement.summary.model.as_ref().map(|model| format!(" · {model}")).unwrap_or_default();
    let parts = [
        parts::decision(sheet),
        parts::memory(sheet),
        parts::instants(judgement),
        parts::stages(sheet),
        parts::resources(sheet),
        parts::time(sheet),
        scaling::days_against_accelerators(&sheet.scaled, false),
        parts::alternatives(judgement),
        parts::doubts(sheet),
        parts::inputs(judgement),
    ];
    format!(
        "<article id=\"job-{number}\">\n<h2>{}</h2>\n<p class=\"about\">{}</p>\n{}</article>\n",
        text(name(sheet)),
        text(&format!("{}{model}{asked}{namespace}{place}", entry.kind)),
        parts.concat(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use crate::report::Entry;
    use crate::report::tests::entries;

    fn page(entries: &[Entry]) -> String {
        let sheets: Vec<_> = entries
            .iter()
            .map(|entry| {
                let memory = entry.judgement.memory.clone();
                Sheet::of(entry, memory.into_iter().cycle().take(2).collect(), &Policy::default())
            })
            .collect();
        report(&sheets)
    }

    #[test]
    fn the_report_shows_every_part_of_every_job() {
        let page = page(&entries());
        let body = page.split("<body>").nth(1).unwrap_or_default();
        let shown = body.split("<details").next().unwrap_or_default();
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn the_report_loads_nothing() {
        let page = page(&entries());
        for forbidden in ["<script", "http://", "https://", "src=", "url(", "@import", "<link"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert!(page.contains("default-src 'none'"));
    }

    #[test]
    fn no_text_of_a_manifest_becomes_markup() {
        let mut entries = entries();
        for entry in &mut entries {
            let hostile = "<img src=x onerror=alert(1)>\"'&</main>".to_owned();
            entry.name = Some(hostile.clone());
            entry.namespace = Some(hostile.clone());
            entry.kind.clone_from(&hostile);
            entry.judgement.message.clone_from(&hostile);
            entry.judgement.warnings = vec![hostile.clone()];
            entry.judgement.summary.model = Some(hostile.clone());
            for input in &mut entry.judgement.inputs {
                input.value.clone_from(&hostile);
                input.source.clone_from(&hostile);
            }
        }
        let page = page(&entries);
        assert!(!page.contains("<img"), "markup got through");
        assert_eq!(page.matches("</main>").count(), 1);
    }
}
