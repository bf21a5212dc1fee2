//! Bounds of JSON that comes from outside, before anything is made of it.

/// How many values a JSON text holds at most: its separators outside of texts are counted. A value takes 30 to 600 bytes of memory, for as
/// few as two in the text.
pub fn values_max(text: &[u8]) -> usize {
    let (mut count, mut in_text, mut is_escaped) = (1, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_text,
            b'"' => in_text = !in_text,
            b',' | b':' | b'[' | b'{' if !in_text => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_texts_do_not_count() {
        assert_eq!(values_max(br#"{"a":[1,"x,[{:\",\\"],"b":{}}"#), 8);
        assert_eq!([values_max(b""), values_max(b"1"), values_max(br#"[{"":0},{"":0}]"#)], [1, 1, 7]);
    }
}
