use crossdock_common::hub::Hub;
use crossdock_common::{Format, FormatTag, Message, Value};

use super::{SELECTOR_BYTES_MAX, SELECTOR_DEPTH_MAX, Selector};

/// A format whose messages all say the same.
#[derive(Debug)]
struct Fixed;

impl Format for Fixed {
    fn tag(&self) -> FormatTag {
        FormatTag(200)
    }

    fn to_hub(&self, _: &Message) -> Hub {
        let text = |text: &'static str| Value::string(text);
        Hub {
            priority: Some(7),
            correlation_id: Some(text("c-1")),
            group_id: Some("g".into()),
            application_properties: vec![
                ("color".into(), text("blue")),
                ("weight".into(), Value::I32(2500)),
                ("price".into(), Value::F64(9.5)),
                ("urgent".into(), Value::Bool(true)),
                ("number".into(), text("12")),
                ("phrase".into(), text("50%_off")),
                ("x-a".into(), text("hyphen")),
            ],
            ..Hub::default()
        }
    }
}

static FIXED: Fixed = Fixed;

fn message() -> Message {
    Message::new(&FIXED, "".into(), Default::default(), Default::default(), Default::default())
}

fn selects(text: &str) -> bool {
    Selector::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).matches(&message())
}

#[test]
fn what_is_true_is_selected() {
    for text in [
        "color = 'blue'",
        "color <> 'red' AND weight > 2000",
        "color = 'red' OR urgent",
        "NOT color = 'red'",
        "not (color = 'red' or weight < 10)",
        "weight BETWEEN 2500 AND 2500.0",
        "weight NOT BETWEEN 1 AND 2499",
        "color IN ('red', 'blue')",
        "color NOT IN ('red')",
        "weight IN (1, 2500)",
        "color LIKE 'b%'",
        "color LIKE 'b_u_'",
        "color LIKE '%'",
        "color NOT LIKE 'blu'",
        "phrase LIKE '50\\%\\_%' ESCAPE '\\'",
        "missing IS NULL",
        "color IS NOT NULL",
        "weight + 500 = 3000",
        "weight * 2 - 1 >= 4999",
        "weight / 1000 = 2",
        "-weight < 0",
        "price = 9.5",
        "price > 9",
        "urgent = TRUE",
        "urgent <> false",
        "JMSPriority = 7",
        "JMSCorrelationID = 'c-1'",
        "JMSXGroupID = 'g'",
        "JMSDeliveryMode = 'NON_PERSISTENT'",
        "JMSExpiration = 0",
        "\"x-a\" = 'hyphen'",
        "hyphenated_props:x-a = 'hyphen'",
        "convert_string_expressions:number > 5",
        "convert_string_expressions: number + 1 = 13",
        "weight = 2500L AND price = 9.5f AND weight = 0x9C4 AND weight = 04704 AND price = 0.95E1",
        "color = 'it''s' OR TRUE",
    ] {
        assert!(selects(text), "{text}");
    }
}

#[test]
fn what_is_false_or_unknown_is_not() {
    for text in [
        "color = 'red'",
        "missing = 'x'",
        "NOT missing = 'x'",
        "missing <> 'x'",
        "missing > 1 AND TRUE",
        "missing LIKE '%'",
        "missing NOT IN ('x')",
        "missing BETWEEN 1 AND 2",
        "weight = '2500'",
        "number > 5",
        "number = 12",
        "urgent > FALSE",
        "weight / 0 = 1",
        "weight * 9223372036854775807 > 0",
        "weight",
        "color",
        "color LIKE 'blue_'",
        "color + 1 = 2",
    ] {
        assert!(!selects(text), "{text}");
    }
}

#[test]
fn unknown_and_false_is_false_and_unknown_or_true_is_true() {
    assert!(selects("NOT (missing = 1 AND FALSE)"));
    assert!(selects("missing = 1 OR TRUE"));
    assert!(!selects("missing = 1 OR FALSE"));
}

#[test]
fn what_is_no_selector_is_told_where() {
    for (text, reason, at) in [
        ("", "a value expected", 0),
        ("color =", "a value expected", 7),
        ("color = 'blue", "' without its end", 8),
        ("(color = 'a'", "')' expected", 12),
        ("color = 'a' 'b'", "nothing more expected", 12),
        ("color LIKE 5", "a pattern in quotes expected", 11),
        ("color LIKE 'a' ESCAPE 'ab'", "one character in quotes expected", 22),
        ("color IN ()", "a text or number expected", 10),
        ("color IS 5", "NULL expected", 9),
        ("a BETWEEN 1, 2", "AND expected", 11),
        ("a NOT 5", "BETWEEN, IN or LIKE expected", 6),
        ("a # 5", "unexpected '#'", 2),
        ("a = 99999999999999999999", "'99999999999999999999' is not a number in its range", 4),
        ("XPATH('//a')", "nothing more expected", 5),
        ("AND", "a value expected, not 'AND'", 0),
    ] {
        let error = Selector::parse(text).unwrap_err();
        assert_eq!((error.reason.as_str(), error.at), (reason, at), "{text}");
    }
}

#[test]
fn length_and_depth_are_bounded() {
    let nested = |depth: usize| format!("{}TRUE{}", "(".repeat(depth), ")".repeat(depth));
    for depth in [SELECTOR_DEPTH_MAX - 1, SELECTOR_DEPTH_MAX] {
        assert!(selects(&nested(depth)));
    }
    assert!(Selector::parse(&nested(SELECTOR_DEPTH_MAX + 1)).is_err());
    assert!(Selector::parse(&"NOT ".repeat(1000)).is_err());
    assert!(Selector::parse(&format!("a = {}1", "-".repeat(1000))).is_err());
    let long = |bytes: usize| format!("TRUE{}", " ".repeat(bytes - 4));
    for bytes in [SELECTOR_BYTES_MAX - 1, SELECTOR_BYTES_MAX] {
        assert!(selects(&long(bytes)));
    }
    assert!(Selector::parse(&long(SELECTOR_BYTES_MAX + 1)).is_err());
}

/// Hostile row A09-8.
#[test]
fn a_hostile_pattern_costs_little() {
    let pattern = super::like::Pattern::new(&"%a".repeat(1000), None).unwrap();
    assert_eq!(pattern.is_like(&"a".repeat(999)), Some(false));
    assert_eq!(pattern.is_like(&"b".repeat(1 << 20)), None, "not known within the steps that one text may cost");
    let pattern = super::like::Pattern::new(&format!("%{}b", "a".repeat(1000)), None).unwrap();
    assert_eq!(pattern.is_like(&"a".repeat(1 << 20)), None);
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "[a-c'\"%_ ()=<>!,.0-9eExX+*/-]{0,60}|(NOT |IN|LIKE|BETWEEN|AND|OR|IS|NULL|a|1|'b'|\\(|\\)|=| |,){0,20}") {
        if let Ok(selector) = Selector::parse(&text) {
            selector.matches(&message());
        }
    }
}
