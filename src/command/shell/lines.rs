//! The lines of a script, so that the lines above a place can be read without the rest.
//!
//! A line ends a command if no compound command, group or subshell is open. The words that open and close them show
//! this, wherever a command can begin. A wrong guess does no harm: the lines are parsed afterwards.

use brush_parser::Token;

/// The script without its leading comments and empty lines.
pub(crate) fn behind_comments(script: &str) -> &str {
    let mut rest = script;
    while let Some((line, behind)) = rest.split_once('\n') {
        let line = line.trim_start();
        if !(line.is_empty() || line.starts_with('#')) {
            break;
        }
        rest = behind;
    }
    rest
}

/// The whole lines within these bytes.
pub(crate) fn before(script: &str, bytes: usize) -> &str {
    let head = script.get(..script.floor_char_boundary(bytes)).unwrap_or_default();
    head.rfind('\n').and_then(|end| head.get(..=end)).unwrap_or_default()
}

/// The first lines, as many as asked for.
pub(crate) fn first(script: &str, lines: usize) -> &str {
    let end = script.match_indices('\n').nth(lines.wrapping_sub(1)).map(|(at, _)| at + 1);
    end.filter(|_| lines > 0).and_then(|end| script.get(..end)).unwrap_or_default()
}

/// How many tokens the commands have that end above this token.
pub(crate) fn above(tokens: &[Token], upto: usize) -> usize {
    let mut open: Vec<&str> = Vec::new();
    let (mut begins, mut end) = (true, 0);
    for (at, token) in tokens.iter().enumerate().take(upto) {
        match token {
            Token::Operator(operator, _) => {
                match operator.as_str() {
                    "(" => open.push(")"),
                    ")" if open.last() == Some(&")") => drop(open.pop()),
                    "\n" if open.is_empty() => end = at + 1,
                    _ => {}
                }
                begins = !operator.starts_with(['<', '>']);
            }
            Token::Word(word, _) if begins => {
                let closed_by = match word.as_str() {
                    "if" => Some("fi"),
                    "for" | "while" | "until" | "select" => Some("done"),
                    "case" => Some("esac"),
                    "{" => Some("}"),
                    _ => None,
                };
                open.extend(closed_by);
                if open.last() == Some(&word.as_str()) {
                    open.pop();
                }
                begins = matches!(
                    word.as_str(),
                    "if" | "then" | "elif" | "else" | "while" | "until" | "do" | "{" | "!" | "time"
                );
            }
            // `for x in a; do`, `case x in`: no command begins here. After `do` one does.
            Token::Word(..) => {}
        }
    }
    end
}
