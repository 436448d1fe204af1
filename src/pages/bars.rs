//! The drawings, as SVG.
//!
//! A drawing is as wide as its place: positions are percentages, heights and letters are pixels. So a telephone shows the
//! same letters as a screen. Colours are classes, which the style sheet chooses for light, dark and paper. Every drawing has
//! a sentence for people who do not see it, and every figure in it also stands in a table or a sentence.

use std::fmt::Write as _;

use super::markup::text;
use crate::judgement::{Component, Memory, Resource, Time};
use crate::units::{Bytes, span, span_within};
use crate::verdict::Ends;

/// The classes of colours. The style sheet has one rule for each.
const COLOURS: usize = 11;
/// An interval that reaches further is cut, with an arrow.
const FARTHEST: f64 = 1.6;

/// The components in the order of a report. Each has a colour of its own.
const COMPONENTS: &[&str] = &[
    "weights",
    "optimizer states",
    "gradients",
    "activations",
    "layer working set",
    "logits",
    "communication buffers",
    "optimizer step",
    "workspaces",
    "fragmentation",
    "context and libraries",
];

/// The class of a component's colour. Other models of the objective share those of the list.
pub(super) fn colour(name: &str, position: usize) -> usize {
    COMPONENTS.iter().position(|known| *known == name).unwrap_or(position) % COLOURS
}

/// A scale from zero to the largest figure that is drawn, with some room.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    most: f64,
}

impl Scale {
    /// A scale that holds these figures.
    pub(super) fn of(figures: impl Iterator<Item = f64>) -> Self {
        let most = figures.filter(|figure| figure.is_finite()).fold(0.0, f64::max);
        Self { most: if most > 0.0 { most * 1.04 } else { 1.0 } }
    }

    /// A figure in percent of the width.
    fn at(self, figure: f64) -> f64 {
        (figure / self.most * 100.0).clamp(0.0, 100.0)
    }
}

/// A part of a need, by its name.
pub(super) type Part<'a> = (&'a str, Bytes);

/// A need against what is offered.
#[derive(Clone)]
pub(super) struct Need<'a> {
    pub(super) peak: Bytes,
    /// The ends of its interval that are figures.
    pub(super) ends: Ends,
    pub(super) offered: Option<Bytes>,
    pub(super) parts: Vec<Part<'a>>,
    /// How its figures are written.
    pub(super) written: fn(Bytes) -> String,
}

fn parts(components: &[Component]) -> Vec<Part<'_>> {
    components.iter().map(|component| (component.name, component.bytes)).collect()
}

impl<'a> From<&'a Memory> for Need<'a> {
    fn from(memory: &'a Memory) -> Self {
        Self {
            peak: memory.peak_bytes,
            ends: Ends::of(memory.peak_bytes, memory.lower_bytes, memory.upper_bytes, memory.capacity_bytes),
            offered: memory.capacity_bytes,
            parts: parts(&memory.components),
            written: |bytes| bytes.to_string(),
        }
    }
}

impl<'a> From<&'a Resource> for Need<'a> {
    fn from(resource: &'a Resource) -> Self {
        Self {
            peak: resource.peak_bytes,
            // Its message has both as figures.
            ends: Ends { lower: Some(resource.lower_bytes), upper: Some(resource.upper_bytes) },
            offered: resource.limit_bytes,
            parts: parts(&resource.components),
            written: Bytes::amount,
        }
    }
}

/// The scale of these needs.
pub(super) fn scale_of<'a>(needs: impl Iterator<Item = Need<'a>>) -> Scale {
    Scale::of(needs.flat_map(|need| {
        let peak = need.peak.as_gib();
        let offered = need.offered.map_or(0.0, Bytes::as_gib);
        let far = peak.max(offered) * FARTHEST;
        [peak, offered, need.ends.upper.map_or(far, Bytes::as_gib).min(far)]
    }))
}

/// The components of the need beside each other, the interval below, and what is offered as a line.
pub(super) fn need(need: &Need<'_>, scale: Scale, each: &str, offers: &str) -> String {
    let written = need.written;
    let offered = need.offered.map(|bytes| (bytes, format!("{offers} {}", written(bytes))));
    let offers = offered.as_ref().map(|(_, label)| format!(", {label}")).unwrap_or_default();
    let ends = need.ends;
    let within = match ends {
        Ends { lower: Some(lower), upper: Some(upper) } => {
            format!("between {} and {}", written(lower), written(upper))
        }
        Ends { lower: Some(lower), upper: None } => format!("{} or more", written(lower)),
        Ends { lower: None, upper: Some(upper) } => format!("up to {}", written(upper)),
        Ends { lower: None, upper: None } => "or far less or more".to_owned(),
    };
    let mut drawing = open(92, &format!("Needs {} {each}, {within}{offers}.", written(need.peak)));
    stacked(&mut drawing, need, scale, 24, 34);
    interval(&mut drawing, ends.lower.map(Bytes::as_gib), ends.upper.map(Bytes::as_gib), scale, 70);
    if let Some((bytes, label)) = offered {
        line(&mut drawing, "card", scale.at(bytes.as_gib()), 18, 64, &label);
    }
    drawing.push_str("</svg>\n");
    drawing
}

/// One need of several: its components, and what is offered as a line.
pub(super) fn one_of_several(need: &Need<'_>, scale: Scale, name: &str) -> String {
    let mut drawing = open(20, &format!("{name} needs {}.", (need.written)(need.peak)));
    stacked(&mut drawing, need, scale, 2, 16);
    if let Some(bytes) = need.offered {
        line(&mut drawing, "card", scale.at(bytes.as_gib()), 0, 20, "");
    }
    drawing.push_str("</svg>\n");
    drawing
}

/// A need whose own card is its scale: cards of different sizes have bars of one length.
pub(super) fn against_the_card(need: &Need<'_>, name: &str) -> String {
    let offered = need.offered.map_or(0.0, Bytes::as_gib);
    let scale = Scale::of([need.peak.as_gib().min(offered * FARTHEST), offered * 1.25].into_iter());
    let scale = if offered > 0.0 { scale } else { scale_of(std::iter::once(need.clone())) };
    one_of_several(need, scale, name)
}

/// One instant of a step: what stays the whole step, what lives now, and the card as a line.
pub(super) fn instant(
    stays: Bytes,
    live: Bytes,
    capacity: Option<Bytes>,
    scale: Scale,
    name: &str,
) -> String {
    let mut drawing = open(20, &format!("{name}: {live} of live tensors."));
    let (stays, all) = (scale.at(stays.min(live).as_gib()), scale.at(live.as_gib()));
    for (class, from, to) in [("stays", 0.0, stays), ("lives", stays, all)] {
        // Writing to a string does not fail.
        let _ = write!(
            drawing,
            "<rect class=\"{class}\" x=\"{from:.2}%\" y=\"2\" width=\"{:.2}%\" height=\"16\"/>",
            to - from
        );
    }
    if let Some(bytes) = capacity {
        line(&mut drawing, "card", scale.at(bytes.as_gib()), 0, 20, "");
    }
    drawing.push_str("</svg>\n");
    drawing
}

/// The days with their interval, and the deadline as a line. None without a duration.
pub(super) fn days(time: &Time, deadline: Option<f64>) -> Option<String> {
    let (days, low, high) = (time.days?, time.days_low?, time.days_high?);
    let scale = Scale::of([days, high, deadline.unwrap_or(0.0)].into_iter());
    let mut drawing = open(72, &format!("Takes {}.", span_within(low, days, high)));
    // Writing to a string does not fail.
    let _ = write!(
        drawing,
        "<rect class=\"days\" x=\"0\" y=\"22\" width=\"{:.2}%\" height=\"16\"><title>{}</title></rect>",
        scale.at(days),
        span(days)
    );
    interval(&mut drawing, Some(low), Some(high), scale, 48);
    if let Some(deadline) = deadline {
        line(&mut drawing, "card", scale.at(deadline), 16, 44, &format!("deadline: {}", span(deadline)));
    }
    drawing.push_str("</svg>\n");
    Some(drawing)
}

/// A plain bar, as long as its figure.
pub(super) fn plain(figure: f64, most: f64, spoken: &str) -> String {
    let scale = Scale::of(std::iter::once(most));
    format!(
        "{}<rect class=\"days\" x=\"0\" y=\"2\" width=\"{:.2}%\" height=\"16\"/></svg>\n",
        open(20, spoken),
        scale.at(figure)
    )
}

fn open(height: u32, spoken: &str) -> String {
    format!(
        "<svg class=\"bar\" role=\"img\" width=\"100%\" height=\"{height}\" aria-label=\"{}\">",
        text(spoken)
    )
}

fn stacked(drawing: &mut String, need: &Need<'_>, scale: Scale, y: u32, height: u32) {
    let mut from = 0.0;
    for (position, (name, bytes)) in need.parts.iter().enumerate() {
        let gib = bytes.as_gib();
        let (start, end) = (scale.at(from), scale.at(from + gib));
        from += gib;
        if end - start < 0.01 {
            continue;
        }
        let _ = write!(
            drawing,
            "<rect class=\"c{}\" x=\"{start:.2}%\" y=\"{y}\" width=\"{:.2}%\" height=\"{height}\"><title>{}: {}</title></rect>",
            colour(name, position),
            end - start,
            text(name),
            (need.written)(*bytes)
        );
    }
}

/// A whisker. An end that is open, or beyond the scale, has an arrow at the edge.
fn interval(drawing: &mut String, low: Option<f64>, high: Option<f64>, scale: Scale, y: u32) {
    let high = high.filter(|high| *high <= scale.most);
    let (start, end) = (low.map_or(0.0, |low| scale.at(low)), high.map_or(100.0, |high| scale.at(high)));
    let _ = write!(
        drawing,
        "<line class=\"whisker\" x1=\"{start:.2}%\" x2=\"{end:.2}%\" y1=\"{y}\" y2=\"{y}\"/>"
    );
    for (at, is_closed, arrow, anchor) in
        [(start, low.is_some(), "←", "start"), (end, high.is_some(), "→", "end")]
    {
        let _ = if is_closed {
            write!(
                drawing,
                "<line class=\"whisker\" x1=\"{at:.2}%\" x2=\"{at:.2}%\" y1=\"{}\" y2=\"{}\"/>",
                y - 5,
                y + 5
            )
        } else {
            write!(
                drawing,
                "<text class=\"note\" x=\"{at:.2}%\" y=\"{}\" text-anchor=\"{anchor}\">{arrow}</text>",
                y + 4
            )
        };
    }
    // The label stands where it has room.
    let (x, anchor) = if start > 50.0 { (end, "end") } else { (start, "start") };
    let _ = write!(
        drawing,
        "<text class=\"note\" x=\"{x:.2}%\" y=\"{}\" text-anchor=\"{anchor}\">nine of ten cases</text>",
        y + 18
    );
}

fn line(drawing: &mut String, class: &str, at: f64, top: u32, bottom: u32, label: &str) {
    let _ = write!(
        drawing,
        "<line class=\"{class}\" x1=\"{at:.2}%\" x2=\"{at:.2}%\" y1=\"{top}\" y2=\"{bottom}\"/>"
    );
    if !label.is_empty() {
        let anchor = if at > 50.0 { "end" } else { "start" };
        let _ = write!(
            drawing,
            "<text class=\"label\" x=\"{at:.2}%\" y=\"13\" text-anchor=\"{anchor}\">{}</text>",
            text(label)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[(&'static str, f64)], upper: f64) -> Memory {
        let component = |(name, gib): &(&'static str, f64)| Component { name, bytes: Bytes::from_gib(*gib) };
        let peak = Bytes::from_gib(parts.iter().map(|(_, gib)| gib).sum());
        Memory {
            peak_bytes: peak,
            least_bytes: peak.scale(0.9),
            lower_bytes: peak.scale(0.9),
            upper_bytes: Bytes::from_gib(upper),
            allocated_bytes: peak,
            reserved_bytes: peak,
            process_bytes: peak,
            capacity_bytes: Some(Bytes::from_gib(80.0)),
            worst_rank: "every rank".into(),
            instant: "loss".into(),
            components: parts.iter().map(component).collect(),
            phases: Vec::new(),
            instants: Vec::new(),
        }
    }

    fn drawn(memory: &Memory, scale: Scale, accelerator: &str) -> String {
        need(&memory.into(), scale, "per GPU", &format!("{accelerator} offers"))
    }

    /// The numbers of an attribute in percent.
    fn percents(drawing: &str, attribute: &str) -> Vec<f64> {
        let name = format!(" {attribute}=\"");
        let parts = drawing.split(&name).skip(1);
        parts.filter_map(|part| part.split('"').next()?.strip_suffix('%')?.parse().ok()).collect()
    }

    #[test]
    fn the_components_fill_the_bar_up_to_the_need() {
        let memory = of(&[("weights", 10.0), ("activations", 30.0)], 44.0);
        let scale = scale_of(std::iter::once(Need::from(&memory)));
        let drawing = drawn(&memory, scale, "A100-80GB");
        let widths = percents(&drawing, "width");
        // The first width is the drawing's own.
        assert!((widths[1..].iter().sum::<f64>() - scale.at(40.0)).abs() < 0.02, "{widths:?}");
        assert!((scale.at(80.0) - 100.0 / 1.04).abs() < 1e-9, "the card is drawn whole");
    }

    #[test]
    fn an_interval_far_above_the_card_does_not_squeeze_the_bar() {
        let memory = of(&[("weights", 15.0)], 2645.0);
        let drawing = drawn(&memory, scale_of(std::iter::once(Need::from(&memory))), "A100-80GB");
        assert!(drawing.contains('→'), "{drawing}");
        assert!(percents(&drawing, "width")[1] > 10.0, "{drawing}");
    }

    #[test]
    fn an_end_that_is_open_is_drawn_to_the_edge_and_spoken_so() {
        let mut memory = of(&[("weights", 180.0)], 2645.0);
        memory.lower_bytes = Bytes::from_gib(2.0);
        let drawing = drawn(&memory, scale_of(std::iter::once(Need::from(&memory))), "H100-80GB");
        assert!(drawing.contains('←') && drawing.contains('→'), "{drawing}");
        assert!(
            drawing.contains("Needs 180.0 GiB per GPU, or far less or more, H100-80GB offers"),
            "{drawing}"
        );
        assert!(drawing.contains("x1=\"0.00%\" x2=\"100.00%\""), "{drawing}");
    }

    #[test]
    fn nothing_is_drawn_outside_and_nothing_breaks_on_odd_figures() {
        for gib in [0.0, 1e-9, 1e15] {
            let memory = of(&[("weights", gib), ("a name that is not known", gib)], gib);
            let drawing = drawn(&memory, scale_of(std::iter::once(Need::from(&memory))), "<x>");
            let mut drawn_at = 0;
            for attribute in ["x", "x1", "x2", "width"] {
                let all = percents(&drawing, attribute);
                assert!(all.iter().all(|at| (0.0..=100.0).contains(at)), "{attribute} {all:?}");
                drawn_at += all.len();
            }
            assert!(drawn_at > 0, "{drawing}");
            assert!(!drawing.contains("NaN") && !drawing.contains("<x>"), "{drawing}");
        }
    }
}
