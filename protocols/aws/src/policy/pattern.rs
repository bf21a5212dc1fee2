//! Texts with `*` (any characters), `?` (one character) and `${…}` (a value of the request).

use super::context::Context;

/// Stand for the characters themselves. No name of AWS's has control characters.
const PLAIN_STAR: &str = "\u{1}";
const PLAIN_QUESTION_MARK: &str = "\u{2}";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(String);

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// With the values of the request in place of its variables.
    pub(super) fn resolved(&self, context: &Context) -> Self {
        Self(resolve_pattern(&self.0, context))
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        matches(self.0.as_bytes(), text.as_bytes())
    }

    pub(super) fn matches_ignoring_case(&self, text: &str) -> bool {
        matches(self.0.to_ascii_lowercase().as_bytes(), text.to_ascii_lowercase().as_bytes())
    }
}

/// Goes back to the last `*` only: time is the product of both lengths at most, and nothing is allocated.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut star = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(byte) if is_of(*byte, text[seen]) => (at, seen) = (at + 1, seen + 1),
            _ => {
                let Some((star_at, from)) = star else { return false };
                star = Some((star_at, from + 1));
                (at, seen) = (star_at + 1, from + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

fn is_of(pattern: u8, byte: u8) -> bool {
    match pattern {
        b'?' => true,
        1 => byte == b'*',
        2 => byte == b'?',
        plain => plain == byte,
    }
}

/// Replaces `${key}` and `${key, 'default'}`; `${*}`, `${?}` and `${$}` are the characters themselves. A variable without a value
/// leaves something that is nobody's.
pub(super) fn resolve(text: &str, context: &Context) -> String {
    resolve_with(text, context, |value| value)
}

/// The same for a pattern: what is special in one is nothing special in values.
pub(super) fn resolve_pattern(text: &str, context: &Context) -> String {
    resolve_with(text, context, |value| value.replace('*', PLAIN_STAR).replace('?', PLAIN_QUESTION_MARK))
}

fn resolve_with(text: &str, context: &Context, change: impl Fn(String) -> String) -> String {
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        resolved.push_str(before);
        let Some((name, after)) = behind.split_once('}') else {
            resolved.push_str("${");
            rest = behind;
            continue;
        };
        resolved.push_str(&change(value_of(name, context)));
        rest = after;
    }
    resolved.push_str(rest);
    resolved
}

fn value_of(name: &str, context: &Context) -> String {
    if ["*", "?", "$"].contains(&name) {
        return name.to_owned();
    }
    let (key, default) = name.split_once(',').map_or((name, None), |(key, default)| (key, Some(default)));
    let value = context.values(key.trim()).and_then(|values| values.first()).map(String::as_str);
    let default = default.map(|default| default.trim().trim_matches('\''));
    value.or(default).map_or_else(|| format!("${{{name}}}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*b*b*", "abab", true),
            ("arn:aws:sqs:*:1:q*", "arn:aws:sqs:us-east-1:1:queue", true),
            ("A", "a", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), expected, "{pattern} {text}");
        }
        assert!(Pattern::new("SQS:send*").matches_ignoring_case("sqs:SendMessage"));
        let hard = "*a".repeat(200);
        assert!(!Pattern::new(&hard).matches(&"a".repeat(199)));
    }

    #[test]
    fn variables_have_values_and_defaults() {
        let context = Context::default().with("aws:username", "alice");
        let resolve = |text| resolve(text, &context);
        assert_eq!(resolve("q-${aws:username}-${AWS:UserName}"), "q-alice-alice");
        let context = context.clone().with("aws:userid", "a*");
        let matches = |pattern: &str, text| Pattern::new(pattern).resolved(&context).matches(text);
        assert!(matches("q-${aws:userid}-*", "q-a*-1") && !matches("q-${aws:userid}", "q-abc"));
        assert!(matches("${*}${?}?", "*?x") && !matches("${*}", "x") && !matches("${?}", "x"));
        assert_eq!(resolve("${aws:none, 'nobody'} ${aws:none} ${*}${ "), "nobody ${aws:none} *${ ");
    }
}
