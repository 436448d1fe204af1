//! The two patterns of layers that Megatron-LM takes: which layers have experts, and which layers a stage holds.
//!
//! ```text
//! --moe-layer-freq                   a number N: every N-th layer, the first one included, has experts
//!                                    or a Python list: ([0]*3+[1]*58), [1,0]*12; 1 is a layer with experts
//! --pipeline-model-parallel-layout   Et*3|(tt|)*29m|L: stages between bars; t a layer, (..)*n repeats
//! ```
//!
//! Source: `moe_freq_type` in `megatron/training/arguments.py`, `PipelineParallelLayerLayout` in `megatron/core`, `core_v0.14`.

/// The most layers of a pattern.
const MAX_LAYERS: usize = 10_000;
/// The deepest nesting of brackets.
const MAX_DEPTH: usize = 8;
/// The most characters of an expanded layout.
const MAX_LAYOUT: usize = 20_000;

/// The numbers of the layers without experts. `None` if the pattern cannot be read.
pub(crate) fn dense_layers(pattern: &str, layers: Option<u64>) -> Option<Vec<u32>> {
    let pattern: String =
        pattern.chars().filter(|c| !c.is_whitespace() && !['"', '\''].contains(c)).collect();
    let kinds = if let Ok(every) = pattern.parse::<usize>() {
        let layers = usize::try_from(layers?).ok().filter(|layers| *layers <= MAX_LAYERS)?;
        (0..layers).map(|layer| layer.checked_rem(every).map(|rest| rest == 0)).collect::<Option<Vec<_>>>()?
    } else {
        let mut rest = pattern.as_bytes();
        let kinds = sum(&mut rest, 0)?;
        rest.is_empty().then_some(kinds)?
    };
    let dense = kinds.iter().enumerate().filter(|(_, experts)| !**experts);
    dense.map(|(layer, _)| u32::try_from(layer).ok()).collect()
}

/// `a + b`
fn sum(rest: &mut &[u8], depth: usize) -> Option<Vec<bool>> {
    let mut all = product(rest, depth)?;
    while take(rest, b'+') {
        all.extend(product(rest, depth)?);
        (all.len() <= MAX_LAYERS).then_some(())?;
    }
    Some(all)
}

/// `[..] * n`, `(..) * n`
fn product(rest: &mut &[u8], depth: usize) -> Option<Vec<bool>> {
    (depth < MAX_DEPTH).then_some(())?;
    let mut list = if take(rest, b'(') {
        let inner = sum(rest, depth + 1)?;
        take(rest, b')').then_some(inner)?
    } else {
        take(rest, b'[').then_some(())?;
        let mut inner = Vec::new();
        loop {
            match number(rest)? {
                0 => inner.push(false),
                1 => inner.push(true),
                _ => return None,
            }
            if take(rest, b']') {
                break inner;
            }
            (take(rest, b',') && inner.len() < MAX_LAYERS).then_some(())?;
        }
    };
    while take(rest, b'*') {
        let times = number(rest)?;
        (list.len().checked_mul(times)? <= MAX_LAYERS).then_some(())?;
        list = list.repeat(times);
    }
    Some(list)
}

fn take(rest: &mut &[u8], byte: u8) -> bool {
    match rest.split_first() {
        Some((first, behind)) if *first == byte => {
            *rest = behind;
            true
        }
        _ => false,
    }
}

fn number(rest: &mut &[u8]) -> Option<usize> {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, behind) = rest.split_at_checked(digits)?;
    *rest = behind;
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// The number of layers of each stage of a layout, in order. `None` if it cannot be read.
pub(crate) fn stages(layout: &str) -> Option<Vec<u64>> {
    let layout: String = layout.chars().filter(|c| !matches!(c, ' ' | ',' | '"' | '\'')).collect();
    let flat = repeated(&repeated_groups(&layout)?)?;
    Some(flat.split('|').map(|stage| stage.matches('t').count() as u64).collect())
}

/// Expands `(tt|)*3`.
fn repeated_groups(layout: &str) -> Option<String> {
    let mut flat = String::new();
    let mut rest = layout;
    while let Some((before, behind)) = rest.split_once('(') {
        let (group, behind) = behind.split_once(')')?;
        let (times, behind) = repetitions(behind);
        flat.push_str(before);
        push(&mut flat, group, times)?;
        rest = behind;
    }
    push(&mut flat, rest, 1)?;
    Some(flat)
}

/// Expands `t*3`.
fn repeated(layout: &str) -> Option<String> {
    let mut flat = String::new();
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        let (count, behind) = repetitions(rest.get(first.len_utf8()..)?);
        push(&mut flat, rest.get(..first.len_utf8())?, count)?;
        rest = behind;
    }
    Some(flat)
}

/// The number of repetitions, and the text behind it.
fn repetitions(text: &str) -> (usize, &str) {
    let Some(behind) = text.strip_prefix('*') else { return (1, text) };
    let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
    behind
        .split_at_checked(digits)
        .map_or((1, text), |(number, rest)| (number.parse().unwrap_or(usize::MAX), rest))
}

fn push(flat: &mut String, text: &str, times: usize) -> Option<()> {
    (flat.len().saturating_add(text.len().saturating_mul(times)) <= MAX_LAYOUT).then_some(())?;
    flat.push_str(&text.repeat(times));
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_layers_without_experts_are_those_of_the_pattern() {
        for (pattern, layers, expected) in [
            ("1", Some(4), Some(vec![])),
            ("2", Some(5), Some(vec![1, 3])),
            ("([0]*3+[1]*5)", None, Some(vec![0, 1, 2])),
            ("([1]*2+[0]*1)*2", None, Some(vec![2, 5])),
            ("[1, 0]*2", None, Some(vec![1, 3])),
            ("2", None, None),
            ("0", Some(4), None),
            ("[0]*99999999999", None, None),
            ("[2]", None, None),
            ("[0", None, None),
            ("__import__('os')", None, None),
            ("((((((((([1])))))))))", None, None),
        ] {
            assert_eq!(dense_layers(pattern, layers), expected, "{pattern}");
        }
    }

    #[test]
    fn a_layout_is_written_out() {
        assert_eq!(stages("Et*3|(tt|)*2m|L"), Some(vec![3, 2, 2, 0, 0]));
        assert_eq!(stages("Ettt|tttt|ttL"), Some(vec![3, 4, 2]));
        assert_eq!(stages("t*99999999999999999999999"), None);
        assert_eq!(stages("(t|"), None);
    }

    proptest! {
        #[test]
        fn no_pattern_panics(text in "[\\[\\]()0-9+*,tE|mL\u{fc} -]{0,64}") {
            let _ = (dense_layers(&text, Some(8)), stages(&text));
        }
    }
}
