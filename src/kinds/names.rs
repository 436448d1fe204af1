//! The names that Kubernetes gives to objects, checked before a name of a stranger becomes part of a path.

/// Whether a text is a DNS label (RFC 1123), as the name of a namespace is.
pub fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_part(text)
}

/// Whether a text is a DNS subdomain (RFC 1123), as the names of workloads are.
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_part)
}

/// Whether a text can stand between the dots of a name.
fn is_part(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether a text can be a segment of a path, as the name of any object can. Such a text leads to no other path.
pub fn is_path_segment(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':');
    (1..=253).contains(&text.len()) && text.bytes().all(plain) && !matches!(text, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_leads_to_another_path_is_not_a_name() {
        for text in [
            "",
            ".",
            "..",
            "../secrets",
            "a/b",
            "a%2fb",
            "a?watch=true",
            "a#b",
            "a b",
            "a\\b",
            "ü",
            &"a".repeat(254),
        ] {
            assert!(!is_label(text) && !is_subdomain(text) && !is_path_segment(text), "{text}");
        }
    }

    #[test]
    fn each_sort_of_name_has_its_own_characters() {
        for (text, label, subdomain, segment) in [
            ("team-a", true, true, true),
            ("llama.v2", false, true, true),
            ("system:node_a", false, false, true),
            ("A", false, false, true),
            ("-a", false, false, true),
            ("a.-b", false, false, true),
        ] {
            assert_eq!(
                (is_label(text), is_subdomain(text), is_path_segment(text)),
                (label, subdomain, segment),
                "{text}"
            );
        }
        let long = "a".repeat(64);
        assert!(!is_label(&long) && is_subdomain(&long) && is_path_segment(&long));
    }
}
