//! Whole numbers of the command line.

use crate::job::grammar::Grammar;

/// A reader of whole numbers from `least` to `most`, which says to a person what to write.
pub(super) fn whole<T: TryFrom<u64>>(
    least: u64,
    most: u64,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| format!("it {}", Grammar::Whole { least, most }.complaint()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_told_to_be_written_in_digits() {
        assert_eq!(whole::<u16>(1, 40)("8"), Ok(8));
        for text in ["eight", "0", "41", "-1", "70000"] {
            let error = whole::<u16>(1, 40)(text).unwrap_err();
            assert_eq!(error, "it is no whole number from 1 to 40: write digits, like 8", "{text}");
        }
    }
}
