//! Arithmetic of whole numbers, as in `$(( ))` and `expr`: `+ - * / %`, parentheses, names of variables.

/// The deepest nesting of parentheses.
const DEEPEST: usize = 16;

/// The value of an expression. None if the expression is not plain, or a variable in it is unknown.
pub(crate) fn evaluate(expression: &str, variable: &impl Fn(&str) -> Option<i64>) -> Option<i64> {
    let mut reader = Reader { rest: expression, variable, depth: 0 };
    let value = reader.sum()?;
    reader.rest.trim().is_empty().then_some(value)
}

struct Reader<'e, F> {
    rest: &'e str,
    variable: &'e F,
    depth: usize,
}

impl<F: Fn(&str) -> Option<i64>> Reader<'_, F> {
    fn take(&mut self, operators: &[char]) -> Option<char> {
        let rest = self.rest.trim_start();
        let operator = rest.chars().next().filter(|c| operators.contains(c))?;
        let behind = rest.get(operator.len_utf8()..)?;
        // `**`, `+=` and similar are other operators.
        if behind.starts_with(['=', '*', '+', '-']) && operator != '(' && !behind.starts_with('-') {
            return None;
        }
        self.rest = behind;
        Some(operator)
    }

    fn sum(&mut self) -> Option<i64> {
        let mut value = self.product()?;
        while let Some(operator) = self.take(&['+', '-']) {
            let other = self.product()?;
            value = if operator == '+' { value.checked_add(other)? } else { value.checked_sub(other)? };
        }
        Some(value)
    }

    fn product(&mut self) -> Option<i64> {
        let mut value = self.factor()?;
        while let Some(operator) = self.take(&['*', '/', '%']) {
            let other = self.factor()?;
            value = match operator {
                '*' => value.checked_mul(other)?,
                '/' => value.checked_div(other)?,
                _ => value.checked_rem(other)?,
            };
        }
        Some(value)
    }

    fn factor(&mut self) -> Option<i64> {
        if self.take(&['(']).is_some() {
            self.depth += 1;
            let value = if self.depth > DEEPEST { None } else { self.sum() }?;
            self.depth -= 1;
            let rest = self.rest.trim_start();
            self.rest = rest.strip_prefix(')')?;
            return Some(value);
        }
        let rest = self.rest.trim_start();
        let rest = rest.strip_prefix('$').unwrap_or(rest);
        let (braced, rest) = rest.strip_prefix('{').map_or((false, rest), |rest| (true, rest));
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, behind) = rest.split_at_checked(end)?;
        self.rest = if braced { behind.strip_prefix('}')? } else { behind };
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            // A leading zero would make it octal.
            (word.len() == 1 || !word.starts_with('0')).then(|| word.parse().ok())?
        } else if word.is_empty() {
            None
        } else {
            (self.variable)(word)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(expression: &str) -> Option<i64> {
        evaluate(expression, &|name| (name == "NNODES").then_some(4))
    }

    #[test]
    fn only_plain_arithmetic_has_a_value() {
        for (expression, expected) in [
            ("8 * NNODES", Some(32)),
            ("$NNODES*${NNODES} - 2", Some(14)),
            ("(1 + 2) * 3 / 2 % 3", Some(1)),
            (" 7 ", Some(7)),
            ("2 ** 3", None),
            ("1 / 0", None),
            ("GPUS * 2", None),
            ("010", None),
            ("a = 3", None),
            ("", None),
            ("9223372036854775807 + 1", None),
        ] {
            assert_eq!(value(expression), expected, "{expression}");
        }
        assert_eq!(value(&format!("{}1{}", "(".repeat(60), ")".repeat(60))), None);
    }
}
