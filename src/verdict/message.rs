//! The one line that a person reads first.
//!
//! kubectl shows only the message of a refusal, so the line holds everything: the need, how sure it is, the capacity,
//! and what would fit.

use crate::units::Bytes;

/// What an accelerator offers.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// Its name in messages.
    pub name: &'a str,
    /// What it offers a process, less the headroom.
    pub bytes: Bytes,
    /// The memory that the policy keeps free on it.
    pub headroom: Bytes,
}

/// The ends of an interval that are figures. An upper end that is more than twice the need and the capacity, or a lower end
/// that is less than a tenth of the need, says only that something is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The lower end, unless it is far off.
    pub lower: Option<Bytes>,
    /// The upper end, unless it is far off.
    pub upper: Option<Bytes>,
}

impl Ends {
    /// The ends of the interval of a need.
    pub fn of(peak: Bytes, lower: Bytes, upper: Bytes, capacity: Option<Bytes>) -> Self {
        let most = peak.max(capacity.unwrap_or(Bytes::ZERO)).scale(2.0);
        Self {
            lower: Some(lower).filter(|lower| !is_far_below(*lower, peak)),
            upper: Some(upper).filter(|upper| *upper <= most),
        }
    }
}

/// Whether a lower end is too far from the need to say anything about it.
fn is_far_below(lower: Bytes, peak: Bytes) -> bool {
    // What is shown as zero is no figure either.
    lower < peak.scale(0.1).max(Bytes::from_mib(52))
}

/// `needs 76.4 GiB per GPU (68.1–84.9), an A800-80GB offers 79.1 GiB`. An end that is far off is no figure: `(50.3 or more)`,
/// `(up to 84.9)`, `(or far less)`.
pub fn need(peak: Bytes, lower: Bytes, upper: Bytes, offer: Option<Offer<'_>>) -> String {
    let interval = match Ends::of(peak, lower, upper, offer.map(|offer| offer.bytes)) {
        Ends { lower: None, upper: None } => "or far less".to_owned(),
        Ends { lower: Some(lower), upper: None } => format!("{:.1} or more", lower.as_gib()),
        Ends { lower: None, upper: Some(upper) } => format!("up to {:.1}", upper.as_gib()),
        Ends { lower: Some(lower), upper: Some(upper) } => {
            format!("{:.1}–{:.1}", lower.as_gib(), upper.as_gib())
        }
    };
    compared(peak, &interval, offer)
}

/// `needs 18.2 GiB per GPU (15.1 to over 79.1), an A100-80GB offers 79.1 GiB`: what is not stated may take the job above the
/// capacity, and how far does not matter.
pub fn open_need(peak: Bytes, lower: Bytes, offer: Offer<'_>) -> String {
    let offered = offer.bytes.as_gib();
    let interval = if is_far_below(lower, peak) {
        format!("or over {offered:.1}")
    } else {
        format!("{:.1} to over {offered:.1}", lower.as_gib())
    };
    compared(peak, &interval, Some(offer))
}

/// `needs 97.4 GiB per GPU (at least 92.5), an A800-80GB offers 79.1 GiB`: a refusal shows the bound that it rests on.
pub fn refused_need(peak: Bytes, lower: Bytes, offer: Option<Offer<'_>>) -> String {
    compared(peak, &format!("at least {:.1}", lower.as_gib()), offer)
}

fn compared(peak: Bytes, within: &str, offer: Option<Offer<'_>>) -> String {
    let need = format!("needs {peak} per GPU ({within})");
    let Some(Offer { name, bytes, headroom }) = offer else { return need };
    let offers = format!("{need}, {} offers {bytes}", accelerator_with_article(name));
    if headroom == Bytes::ZERO { offers } else { format!("{offers} after {headroom} of headroom") }
}

/// The line of a denial: the need, and the advice if there is any.
pub fn denial(need: &str, advice: &[String]) -> String {
    match advice {
        [] => need.to_owned(),
        [one] => format!("{need}; {one} fits"),
        [one, other, ..] => format!("{need}; {one}, or {other}, fits"),
    }
}

/// `an A800-80GB`, `a V100-16GB`: the article as it is spoken.
pub fn accelerator_with_article(name: &str) -> String {
    let vowel = name.chars().next().is_some_and(|c| "AEFHILMNORSXaeio8".contains(c));
    // Names like H100 and MI300X are spoken letter by letter. Words are not.
    let word = name.chars().take(3).all(|c| c.is_ascii_lowercase());
    let article = if vowel && (!word || name.starts_with(['a', 'e', 'i', 'o'])) { "an" } else { "a" };
    format!("{article} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_it_all() {
        let offer = Offer { name: "A800-80GB", bytes: Bytes::from_gib(79.1), headroom: Bytes::ZERO };
        let offered = Some(offer);
        assert_eq!(
            need(Bytes::from_gib(76.4), Bytes::from_gib(68.1), Bytes::from_gib(84.9), offered),
            "needs 76.4 GiB per GPU (68.1–84.9), an A800-80GB offers 79.1 GiB"
        );
        let need = refused_need(Bytes::from_gib(97.4), Bytes::from_gib(92.5), offered);
        let advice = ["pipeline-parallel 4 → 8".to_owned(), "recompute=full".to_owned()];
        assert_eq!(
            denial(&need, &advice),
            "needs 97.4 GiB per GPU (at least 92.5), an A800-80GB offers 79.1 GiB; \
             pipeline-parallel 4 → 8, or recompute=full, fits"
        );
    }

    #[test]
    fn an_end_that_is_far_off_is_no_figure() {
        let offer = Offer { name: "A100-80GB", bytes: Bytes::from_gib(79.1), headroom: Bytes::ZERO };
        let gib = Bytes::from_gib;
        assert_eq!(
            need(gib(181.9), gib(25.3), gib(2362.0), Some(offer)),
            "needs 181.9 GiB per GPU (25.3 or more), an A100-80GB offers 79.1 GiB"
        );
        assert_eq!(need(gib(181.9), gib(0.0), gib(2362.0), None), "needs 181.9 GiB per GPU (or far less)");
        assert_eq!(need(gib(10.0), gib(5.0), gib(19.0), None), "needs 10.0 GiB per GPU (5.0–19.0)");
        assert_eq!(need(gib(10.0), gib(5.0), gib(21.0), None), "needs 10.0 GiB per GPU (5.0 or more)");
        assert_eq!(need(gib(10.0), gib(0.0), gib(19.0), None), "needs 10.0 GiB per GPU (up to 19.0)");
        assert_eq!(need(gib(0.3), gib(0.04), gib(21.0), None), "needs 0.3 GiB per GPU (or far less)");
        assert_eq!(
            open_need(gib(49.6), gib(0.0), offer),
            "needs 49.6 GiB per GPU (or over 79.1), an A100-80GB offers 79.1 GiB"
        );
        assert_eq!(
            open_need(gib(49.6), gib(15.0), offer),
            "needs 49.6 GiB per GPU (15.0 to over 79.1), an A100-80GB offers 79.1 GiB"
        );
    }

    #[test]
    fn headroom_is_named() {
        let (bytes, headroom) = (Bytes::from_gib(77.1), Bytes::from_gib(2.0));
        let offer = Offer { name: "A800-80GB", bytes, headroom };
        assert_eq!(
            refused_need(Bytes::from_gib(97.4), Bytes::from_gib(92.5), Some(offer)),
            "needs 97.4 GiB per GPU (at least 92.5), an A800-80GB offers 77.1 GiB after 2.0 GiB of headroom"
        );
    }

    #[test]
    fn articles_are_the_spoken_ones() {
        for (name, spoken) in [
            ("H100-80GB", "an H100-80GB"),
            ("A10G", "an A10G"),
            ("V100-16GB", "a V100-16GB"),
            ("T4", "a T4"),
            ("Ascend-910B3", "an Ascend-910B3"),
            ("MI300X", "an MI300X"),
            ("Gaudi2", "a Gaudi2"),
            ("B200", "a B200"),
        ] {
            assert_eq!(accelerator_with_article(name), spoken);
        }
    }
}
