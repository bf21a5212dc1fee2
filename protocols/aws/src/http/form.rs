//! `a=b&c=d`, in queries and form bodies.

use percent_encoding::percent_decode_str;

/// Most parameters of one request: ten batch entries with ten attributes of four parameters each, and room.
pub(crate) const PARAMETERS_MAX: usize = 2_000;

/// Names and values in their order, decoded. `None` when there are more than [`PARAMETERS_MAX`] or text is not UTF-8.
pub(crate) fn parse(text: &str) -> Option<Vec<(String, String)>> {
    let mut parameters = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        if parameters.len() == PARAMETERS_MAX {
            return None;
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        parameters.push((decode(name)?, decode(value)?));
    }
    Some(parameters)
}

fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    Some(percent_decode_str(&spaced).decode_utf8().ok()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plus_is_a_space_and_percent_is_decoded() {
        assert_eq!(parse("a=b+c%2B%20d&e&=f&&").unwrap(), [("a", "b c+ d"), ("e", ""), ("", "f")].map(owned));
        assert_eq!(parse("a=%FF"), None);
        assert_eq!(parse("a=%4").unwrap(), [("a", "%4")].map(owned));
    }

    #[test]
    fn there_is_a_limit() {
        let text = |count: usize| vec!["a=1"; count].join("&");
        assert!(parse(&text(PARAMETERS_MAX - 1)).is_some() && parse(&text(PARAMETERS_MAX)).is_some());
        assert!(parse(&text(PARAMETERS_MAX + 1)).is_none() && parse(&text(10_000)).is_none());
    }

    fn owned((name, value): (&str, &str)) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }
}
