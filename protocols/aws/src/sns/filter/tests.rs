use crossdock_common::{Message, Name};
use serde_json::json;

use super::*;
use crate::convert::FORMAT;
use crate::convert::attributes::Attribute;

/// What SNS was recorded to say; the policy is in it.
const COMPLAINTS: [&str; 33] = [
    r##"Match value must be String, number, true, false, or null\n at [Source: (String)"{"key":[["value"]]}"; line: 1, column: 10]"##,
    r##"Unrecognized match type wrong-operator\n at [Source: (String)"{"key":[{"wrong-operator":true}]}"; line: 1, column: 31]"##,
    r##"Only one key allowed in match expression\n at [Source: (String)"{"key":[{"suffix":"value","prefix":"value2"}]}"; line: 1, column: 37]"##,
    r##"Empty arrays are not allowed\n at [Source: (String)"{"key":[]}"; line: 1, column: 10]"##,
    r##"suffix match pattern must be a string\n at [Source: (String)"{"key":[{"suffix":100}]}"; line: 1, column: 22]"##,
    r##"suffix match pattern must be a string\n at [Source: (String)"{"key":[{"suffix":null}]}"; line: 1, column: 23]"##,
    r##""suffix" must be an object or an array\n at [Source: (String)"{"key":{"suffix":"value"}}"; line: 1, column: 19]"##,
    r##"suffix match pattern must be a string\n at [Source: (String)"{"key":[{"suffix":[]}]}"; line: 1, column: 20]"##,
    r##"suffix match pattern must be a string\n at [Source: (String)"{"key":[{"suffix":["test","test2"]}]}"; line: 1, column: 20]"##,
    r##""suffix" must be an object or an array\n at [Source: (String)"{"key":{"suffix":"value","prefix":"value"}}"; line: 1, column: 19]"##,
    r##""not-an-operator" must be an object or an array\n at [Source: (String)"{"key":{"not-an-operator":"value"}}"; line: 1, column: 28]"##,
    r##"prefix match pattern must be a string\n at [Source: (String)"{"key":[{"cidr":["bad-filter"]}]}"; line: 1, column: 18]"##,
    r##"Invalid member in numeric match: ]\n at [Source: (String)"{"key":[{"numeric":[]}]}"; line: 1, column: 22]"##,
    r##"Unrecognized numeric range operator: operator\n at [Source: (String)"{"key":[{"numeric":["operator"]}]}"; line: 1, column: 32]"##,
    r##"Invalid member in numeric match: 1\n at [Source: (String)"{"key":[{"numeric":[1,"<="]}]}"; line: 1, column: 22]"##,
    r##"Value of equals must be numeric\n at [Source: (String)"{"key":[{"numeric":["=","000"]}]}"; line: 1, column: 26]"##,
    r##"Value of >= must be numeric\n at [Source: (String)"{"key":[{"numeric":[">="]}]}"; line: 1, column: 26]"##,
    r##"Too many elements in numeric expression\n at [Source: (String)"{"key":[{"numeric":["<",100,">",10]}]}"; line: 1, column: 30]"##,
    r##"Bad numeric range operator: >\n at [Source: (String)"{"key":[{"numeric":[">=",1,">",2]}]}"; line: 1, column: 31]"##,
    r##"Bottom must be less than top\n at [Source: (String)"{"key":[{"numeric":[">",3,"<",1]}]}"; line: 1, column: 33]"##,
    r##"Value of <= must be numeric\n at [Source: (String)"{"key":[{"numeric":[">",20,"<="]}]}"; line: 1, column: 33]"##,
    r##"Bad value in numeric range: 30\n at [Source: (String)"{"key":[{"numeric":[">",20,30]}]}"; line: 1, column: 30]"##,
    r##"Bad numeric range operator: test\n at [Source: (String)"{"key":[{"numeric":[">",20,"test"]}]}"; line: 1, column: 34]"##,
    r##"Value of > must be numeric\n at [Source: (String)"{"key":[{"numeric":[">","20","<","30"]}]}"; line: 1, column: 26]"##,
    r##"Value of < must be numeric\n at [Source: (String)"{"key":[{"numeric":[">",20,"<","30"]}]}"; line: 1, column: 33]"##,
    r##"Too many terms in numeric range expression\n at [Source: (String)"{"key":[{"numeric":[">",20,"<",30,"<",50]}]}"; line: 1, column: 36]"##,
    r##"exists match pattern must be either true or false.\n at [Source: (String)"{"key":[{"exists":null}]}"; line: 1, column: 23]"##,
    r##"exists match pattern must be either true or false.\n at [Source: (String)"{"key":[{"exists":"no"}]}"; line: 1, column: 20]"##,
    r##""key_a" must be an object or an array\n at [Source: (String)"{"key_a":"value_one"}"; line: 1, column: 11]"##,
    r##"Unsupported anything-but pattern: wrong-operator\n at [Source: (String)"{"key":[{"anything-but":{"wrong-operator":null}}]}"; line: 1, column: 47]"##,
    r##"Unsupported anything-but pattern: suffix\n at [Source: (String)"{"key":[{"anything-but":{"suffix":"test"}}]}"; line: 1, column: 36]"##,
    r##"Unsupported anything-but pattern: exists\n at [Source: (String)"{"key":[{"anything-but":{"exists":false}}]}"; line: 1, column: 40]"##,
    r##"prefix match pattern must be a string\n at [Source: (String)"{"key":[{"anything-but":{"prefix":false}}]}"; line: 1, column: 40]"##,
];

#[test]
fn complaints_are_sns_to_the_letter() {
    for complaint in COMPLAINTS {
        let complaint = complaint.replace("\\n", "\n");
        let (_, behind) = complaint.split_once("(String)\"").expect("a source");
        let (policy, _) = behind.rsplit_once("\"; line").expect("a place");
        assert_eq!(FilterPolicy::parse(policy, Scope::MessageAttributes), Err(complaint.clone()));
    }
    for (policy, complaint) in [
        (r#"{"key":[{"cidr":"bad-filter"}]}"#, "Malformed CIDR, one '/' required"),
        (r#"{"key":[{"cidr":"bad-filter/12"}]}"#, "Nonstandard IP address: bad-filter"),
        (r#"{"key":[{"cidr":"1.2.3.4/xx"}]}"#, "Malformed CIDR, mask bits must be an integer"),
        (r#"{"key":[{"cidr":"xx.11.xx/8"}]}"#, "Nonstandard IP address: xx.11.xx"),
        (
            r#"{"key":[{"anything-but":[]}]}"#,
            "Inside anything-but list, either all values are number or string, mixed type is not supported\n at [Source: \
             (String)\"{\"key\":[{\"anything-but\":[]}]}\"; line: 1, column: 27]",
        ),
        (
            "invalid",
            "failed to parse JSON. Unrecognized token 'invalid': was expecting (JSON String, Number, Array, Object or token \
             'null', 'true' or 'false')\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); \
             line: 1, column: 8]",
        ),
        (
            "{i",
            "failed to parse JSON. Unexpected character ('i' (code 105)): was expecting double-quote to start field \
             name\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 2]",
        ),
    ] {
        assert_eq!(FilterPolicy::parse(policy, Scope::MessageAttributes), Err(complaint.to_owned()), "{policy}");
    }
    for bad in [
        r#"{"key":[{"anything-but":[1,"a"]}]}"#,
        r#"{"key":[{"anything-but":[true]}]}"#,
        r#"{"key":[{"anything-but":null}]}"#,
        "",
        "[]",
        "{",
        r#"{"a"}"#,
        r#"{"a":"#,
        r#"{"a":[}"#,
        r#"{"a":["b",]}"#,
        r#"{"a":["b"],}"#,
        r#"{"a":["b"#,
        "{\"a\":[\u{0}",
    ] {
        assert!(FilterPolicy::parse(bad, Scope::MessageBody).is_err(), "{bad}");
    }
}

#[test]
fn a_policy_has_bounds() {
    let keys = |count: usize| {
        let keys: serde_json::Map<String, Json> = (0..count).map(|key| (format!("k{key}"), json!(["v"]))).collect();
        Json::Object(keys).to_string()
    };
    let values = |count: usize| json!({ "a": vec!["v"; count] }).to_string();
    let nested = |count: usize| json!({ "a": { "b": vec!["v"; count] } }).to_string();
    let parse = |policy: &str, scope| FilterPolicy::parse(policy, scope).map(drop);
    let many_keys = "Filter policy can not have more than 5 keys".to_owned();
    let complex = "Filter policy is too complex".to_owned();
    assert_eq!([5, 6].map(|count| parse(&keys(count), Scope::MessageAttributes)), [Ok(()), Err(many_keys)]);
    assert_eq!([150, 151].map(|count| parse(&values(count), Scope::MessageAttributes)), [Ok(()), Err(complex.clone())]);
    assert_eq!([75, 76].map(|count| parse(&nested(count), Scope::MessageBody)), [Ok(()), Err(complex)]);
    assert!(parse(&nested(1), Scope::MessageAttributes).is_err());
    assert!(parse(&"[".repeat(100_000), Scope::MessageBody).is_err());
}

fn message(attributes: Vec<Attribute>, body: &str) -> Message {
    let properties = Properties { attributes, ..Properties::default() };
    let body = bytes::Bytes::copy_from_slice(body.as_bytes());
    Message::new(&FORMAT, Name::default(), bytes::Bytes::new(), properties.encode(), body)
}

fn passes(policy: &Json, scope: Scope, message: &Message) -> bool {
    FilterPolicy::parse(&policy.to_string(), scope).expect("a policy").matches(&mut Sight::new(message))
}

#[test]
fn attributes_are_matched() {
    let attributes = vec![
        Attribute::text("store", "String", "example_corp"),
        Attribute::text("price", "Number", "100.0"),
        Attribute::text("interests", "String.Array", r#"["soccer","rugby",true,null,3]"#),
        Attribute::text("ip", "String", "10.1.2.3"),
        Attribute::text("zip", "String", "100"),
        Attribute { value: AttributeValue::Binary(bytes::Bytes::new()), ..Attribute::text("bytes", "Binary", "") },
    ];
    let message = message(attributes, "no matter");
    for (policy, expected) in [
        (json!({}), true),
        (json!({ "store": ["example_corp"] }), true),
        (json!({ "store": ["other", "example_corp"] }), true),
        (json!({ "store": ["other"] }), false),
        (json!({ "store": ["example_corp"], "price": [100] }), true),
        (json!({ "store": ["example_corp"], "price": [1] }), false),
        (json!({ "missing": ["x"] }), false),
        (json!({ "zip": [100] }), false),
        (json!({ "price": ["100.0"] }), false),
        (json!({ "store": [{ "prefix": "exa" }] }), true),
        (json!({ "store": [{ "prefix": "Exa" }] }), false),
        (json!({ "store": [{ "suffix": "corp" }] }), true),
        (json!({ "store": [{ "equals-ignore-case": "EXAMPLE_CORP" }] }), true),
        (json!({ "store": [{ "anything-but": "other" }] }), true),
        (json!({ "store": [{ "anything-but": ["other", "example_corp"] }] }), false),
        (json!({ "store": [{ "anything-but": { "prefix": "ex" } }] }), false),
        (json!({ "store": [{ "anything-but": { "prefix": "x" } }] }), true),
        (json!({ "missing": [{ "anything-but": "x" }] }), false),
        (json!({ "price": [{ "anything-but": [100, 200] }] }), false),
        (json!({ "price": [{ "numeric": ["=", 100] }] }), true),
        (json!({ "price": [{ "numeric": [">", 100] }] }), false),
        (json!({ "price": [{ "numeric": [">=", 100] }] }), true),
        (json!({ "price": [{ "numeric": ["<", 100.5] }] }), true),
        (json!({ "price": [{ "numeric": ["<=", 99] }] }), false),
        (json!({ "price": [{ "numeric": [">", 0, "<=", 100] }] }), true),
        (json!({ "price": [{ "numeric": [">", 0, "<", 100] }] }), false),
        (json!({ "store": [{ "numeric": [">", 0] }] }), false),
        (json!({ "store": [{ "exists": true }] }), true),
        (json!({ "store": [{ "exists": false }] }), false),
        (json!({ "missing": [{ "exists": false }] }), true),
        (json!({ "bytes": [{ "exists": true }] }), false),
        (json!({ "bytes": [{ "exists": false }] }), true),
        (json!({ "bytes": [{ "anything-but": "x" }] }), false),
        (json!({ "ip": [{ "cidr": "10.0.0.0/8" }] }), true),
        (json!({ "ip": [{ "cidr": "11.0.0.0/8" }] }), false),
        (json!({ "interests": ["rugby"] }), true),
        (json!({ "interests": ["tennis", true] }), true),
        (json!({ "interests": [null] }), true),
        (json!({ "interests": [3] }), true),
        (json!({ "interests": ["3"] }), false),
        (json!({ "$or": [{ "store": ["other"] }, { "price": [100] }] }), true),
        (json!({ "$or": [{ "store": ["other"] }, { "price": [1] }] }), false),
        (json!({ "$or": [{ "store": ["example_corp"] }, { "price": [1] }], "zip": ["1"] }), false),
    ] {
        assert_eq!(passes(&policy, Scope::MessageAttributes, &message), expected, "{policy}");
    }
}

#[test]
fn bodies_are_matched() {
    let body = json!({
        "store": "example", "price": 10, "sold": true, "none": null,
        "customer": { "name": { "first": "Ada" }, "tags": ["a", "b"] },
        "items": [{ "id": 1, "colour": "red" }, { "id": 2 }],
    });
    let message = message(vec![Attribute::text("store", "String", "another")], &body.to_string());
    for (policy, expected) in [
        (json!({ "store": ["example"] }), true),
        (json!({ "store": ["another"] }), false),
        (json!({ "price": [10] }), true),
        (json!({ "price": ["10"] }), false),
        (json!({ "sold": [true] }), true),
        (json!({ "none": [null] }), true),
        (json!({ "customer": { "name": { "first": [{ "prefix": "A" }] } } }), true),
        (json!({ "customer": { "name": { "first": ["Bob"] } } }), false),
        (json!({ "customer": { "tags": ["b"] } }), true),
        (json!({ "customer": { "age": [{ "exists": false }] } }), true),
        (json!({ "nobody": { "age": [{ "exists": false }] } }), true),
        (json!({ "nobody": { "age": [{ "exists": true }] } }), false),
        (json!({ "items": { "id": [2] } }), true),
        (json!({ "items": { "id": [3] } }), false),
        (json!({ "store": { "name": ["x"] } }), false),
        (json!({ "$or": [{ "price": [1] }, { "customer": { "tags": ["a"] } }] }), true),
    ] {
        assert_eq!(passes(&policy, Scope::MessageBody, &message), expected, "{policy}");
    }
    for body in ["no JSON", "[]", "\"text\"", ""] {
        let other = self::message(Vec::new(), body);
        assert!(!passes(&json!({ "a": [{ "exists": false }] }), Scope::MessageBody, &other), "{body}");
        assert!(passes(&json!({}), Scope::MessageBody, &other), "{body}");
    }
}

#[test]
fn an_empty_object_is_no_policy() {
    for (text, expected) in
        [("", true), ("{}", true), (" { }\n", true), ("{\"a\":[1]}", false), ("[]", false), ("{", false)]
    {
        assert_eq!(is_none(text), expected, "{text}");
    }
}

#[test]
fn a_body_of_too_many_values_passes_no_policy() {
    let policy = json!({ "store": ["example"] });
    // The object and its members are five values, the list has the others.
    let body = |count: usize| json!({ "store": "example", "all": vec![1; count] }).to_string();
    let body = |values: usize| message(Vec::new(), &body(values - 5));
    let limit = [19_999, 20_000, 20_001].map(|values| passes(&policy, Scope::MessageBody, &body(values)));
    assert_eq!(limit, [true, true, false]);
    let list = |count: usize| {
        let text = json!(vec!["example"; count]).to_string();
        let message = message(vec![Attribute::text("store", "String.Array", text)], "");
        passes(&policy, Scope::MessageAttributes, &message)
    };
    assert_eq!([list(19_999), list(20_001)], [true, false], "a list of too many values is a text");
}

#[test]
fn policies_of_both_scopes_look_at_one_message() {
    let message = message(vec![Attribute::text("key", "String", "one")], r#"{"key":"two"}"#);
    let mut sight = Sight::new(&message);
    for (value, of_attributes, of_body) in [("one", true, false), ("two", false, true), ("one", true, false)] {
        let text = json!({ "key": [value] }).to_string();
        for (scope, expected) in [(Scope::MessageAttributes, of_attributes), (Scope::MessageBody, of_body)] {
            assert_eq!(FilterPolicy::parse(&text, scope).unwrap().matches(&mut sight), expected, "{value} {scope:?}");
        }
    }
}
