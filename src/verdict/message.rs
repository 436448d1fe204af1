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

/// `needs 76.4 GiB per GPU (68.1–84.9), an A800-80GB offers 79.1 GiB`.
///
/// An upper end that is more than twice the need and the capacity says only that something is open: `(50.3 or more)`. If the
/// lower end is less than a tenth of the need too, the interval says nothing: `(or far less)`.
pub fn need(peak: Bytes, lower: Bytes, upper: Bytes, offer: Option<Offer<'_>>) -> String {
    let far = peak.max(offer.map_or(Bytes::ZERO, |offer| offer.bytes)).scale(2.0);
    let interval = if upper > far && lower < peak.scale(0.1) {
        "or far less".to_owned()
    } else if upper > far {
        format!("{:.1} or more", lower.as_gib())
    } else {
        format!("{:.1}–{:.1}", lower.as_gib(), upper.as_gib())
    };
    compared(peak, &interval, offer)
}

/// `needs 18.2 GiB per GPU (15.1 to over 79.1), an A100-80GB offers 79.1 GiB`: what is not stated may take the job above the
/// capacity, and how far does not matter.
pub fn open_need(peak: Bytes, lower: Bytes, offer: Offer<'_>) -> String {
    let interval = format!("{:.1} to over {:.1}", lower.as_gib(), offer.bytes.as_gib());
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
