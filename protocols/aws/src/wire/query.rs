//! Query requests: `Action=…&Attribute.1.Name=…` in a form body or behind `?`.
//!
//! SQS writes lists flat (`AttributeName.1`), SNS with a word in between (`Tags.member.1`); both become AWS JSON's shape.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Decoded, Fields, Protocol, Service};
use crate::error::Failure;
use crate::http::{Request, form};

/// Deepest name: `PublishBatchRequestEntries.member.1.MessageAttributes.entry.1.Value.StringValue` has 8 parts.
const PARTS_MAX: usize = 8;

/// What SQS's flat names mean.
const FLAT: [(&str, &str, Flat); 13] = [
    ("AttributeName", "AttributeNames", Flat::List),
    ("MessageAttributeName", "MessageAttributeNames", Flat::List),
    ("MessageSystemAttributeName", "MessageSystemAttributeNames", Flat::List),
    ("TagKey", "TagKeys", Flat::List),
    ("AWSAccountId", "AWSAccountIds", Flat::List),
    ("ActionName", "Actions", Flat::List),
    ("SendMessageBatchRequestEntry", "Entries", Flat::List),
    ("DeleteMessageBatchRequestEntry", "Entries", Flat::List),
    ("ChangeMessageVisibilityBatchRequestEntry", "Entries", Flat::List),
    ("Attribute", "Attributes", Flat::Map),
    ("Tag", "Tags", Flat::Map),
    ("MessageAttribute", "MessageAttributes", Flat::Map),
    ("MessageSystemAttribute", "MessageSystemAttributes", Flat::Map),
];

#[derive(Clone, Copy)]
enum Flat {
    List,
    Map,
}

/// Parameters by the parts of their names.
enum Node {
    Leaf(String),
    Branch(BTreeMap<String, Node>),
}

pub(super) fn decode(request: &Request) -> Result<Decoded, Failure> {
    let parameters = parameters(request)?;
    let find = |wanted: &str| parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let action = find("Action").ok_or(Failure::MissingAction)?.to_owned();
    let service = service(find("Version"), &action, request);
    let mut root = BTreeMap::new();
    // A request straight to a queue's path names its queue with it.
    if service == Service::Sqs && request.head.path().trim_matches('/').contains('/') && find("QueueUrl").is_none() {
        root.insert("QueueUrl".to_owned(), Node::Leaf(request.head.path().to_owned()));
    }
    for (name, value) in parameters.into_iter().filter(|(name, _)| !name.starts_with("X-Amz-")) {
        insert(&mut root, &name, value)?;
    }
    Ok(Decoded { service, protocol: Protocol::Query, action, fields: Fields(structure(root)) })
}

/// The service that a request is for, as far as that can be seen.
pub(super) fn service_of(request: &Request) -> Service {
    let parameters = parameters(request).unwrap_or_default();
    let find = |wanted: &str| parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    service(find("Version"), find("Action").unwrap_or_default(), request)
}

fn service(version: Option<&str>, action: &str, request: &Request) -> Service {
    match (version, action) {
        (Some("2010-03-31"), _) => Service::Sns,
        (Some("2011-06-15"), _) | (None, "GetCallerIdentity") => Service::Sts,
        (None, _) if crate::sns::ACTIONS.contains(&action) && request.head.path() == "/" => Service::Sns,
        _ => Service::Sqs,
    }
}

fn parameters(request: &Request) -> Result<Vec<(String, String)>, Failure> {
    let malformed = || Failure::Malformed("The parameters cannot be read, or are too many.".to_owned());
    let mut parameters = form::parse(request.head.query()).ok_or_else(malformed)?;
    if request.head.has_form() {
        let body = std::str::from_utf8(&request.body).map_err(|_| malformed())?;
        parameters.extend(form::parse(body).ok_or_else(malformed)?);
    }
    Ok(parameters)
}

fn insert(root: &mut BTreeMap<String, Node>, name: &str, value: String) -> Result<(), Failure> {
    let parts: Vec<&str> = name.split('.').collect();
    let (Some((last, path)), true) = (parts.split_last(), parts.len() <= PARTS_MAX) else {
        return Err(Failure::Malformed(format!("The parameter {name} has too many parts.")));
    };
    let mut branch = root;
    for part in path {
        let node = branch.entry((*part).to_owned()).or_insert_with(|| Node::Branch(BTreeMap::new()));
        let Node::Branch(next) = node else {
            return Err(Failure::Malformed(format!("The parameter {name} contradicts another.")));
        };
        branch = next;
    }
    branch.insert((*last).to_owned(), Node::Leaf(value));
    Ok(())
}

fn structure(branch: BTreeMap<String, Node>) -> Map<String, Value> {
    branch
        .into_iter()
        .map(|(name, node)| match node {
            Node::Leaf(text) => (name, Value::String(text)),
            // SNS's lists of the same names have a word in between.
            Node::Branch(branch) if branch.contains_key("member") => (name, wrapped(branch)),
            Node::Branch(branch) => match FLAT.iter().find(|(flat, _, _)| *flat == name) {
                Some((_, name, Flat::List)) => ((*name).to_owned(), list(branch)),
                Some((_, name, Flat::Map)) => ((*name).to_owned(), map(branch)),
                None => (name, wrapped(branch)),
            },
        })
        .collect()
}

/// SNS's lists and maps have one word around them.
fn wrapped(mut branch: BTreeMap<String, Node>) -> Value {
    if branch.len() == 1 {
        if let Some(Node::Branch(members)) = branch.remove("member") {
            return list(members);
        }
        if let Some(Node::Branch(entries)) = branch.remove("entry") {
            return map(entries);
        }
    }
    Value::Object(structure(branch))
}

fn list(branch: BTreeMap<String, Node>) -> Value {
    Value::Array(numbered(branch).into_iter().map(value).collect())
}

fn map(branch: BTreeMap<String, Node>) -> Value {
    let entries = numbered(branch).into_iter().filter_map(|node| {
        let Node::Branch(mut entry) = node else { return None };
        let mut take = |names: [&str; 3]| names.into_iter().find_map(|name| entry.remove(name));
        let Some(Node::Leaf(name)) = take(["Name", "key", "Key"]) else { return None };
        Some((name, take(["Value", "value", "Value"]).map_or(Value::Null, value)))
    });
    Value::Object(entries.collect())
}

fn value(node: Node) -> Value {
    match node {
        Node::Leaf(text) => Value::String(text),
        Node::Branch(branch) => Value::Object(structure(branch)),
    }
}

/// The nodes under 1, 2, 3 …; a branch without numbers is the only element (`Attribute.Name=…`).
fn numbered(branch: BTreeMap<String, Node>) -> Vec<Node> {
    if branch.contains_key("Name") || branch.contains_key("Key") || branch.contains_key("Id") {
        return vec![Node::Branch(branch)];
    }
    let mut nodes: Vec<(u32, Node)> =
        branch.into_iter().filter_map(|(number, node)| Some((number.parse().ok()?, node))).collect();
    nodes.sort_by_key(|(number, _)| *number);
    nodes.into_iter().map(|(_, node)| node).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::Head;

    fn asked(query: &str) -> Request {
        let uri = format!("/?{query}").parse().unwrap();
        Request { head: Head { uri, ..Head::default() }, ..Request::default() }
    }

    fn read(query: &str) -> Value {
        Value::Object(decode(&asked(query)).unwrap().fields.0)
    }

    #[test]
    fn sqs_lists_and_maps_are_flat() {
        let fields = read(
            "Action=X&AttributeName.2=b&AttributeName.1=a&AttributeName.10=c&Attribute.1.Name=n&Attribute.1.Value=v\
             &SendMessageBatchRequestEntry.1.Id=1&SendMessageBatchRequestEntry.1.MessageAttribute.1.Name=k\
             &SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue=s",
        );
        let entries = json!([{ "Id": "1", "MessageAttributes": { "k": { "StringValue": "s" } } }]);
        let expected =
            json!({ "Action": "X", "AttributeNames": ["a", "b", "c"], "Attributes": { "n": "v" }, "Entries": entries });
        assert_eq!(fields, expected);
    }

    #[test]
    fn sns_lists_and_maps_are_wrapped() {
        let fields = read(
            "Action=X&Version=2010-03-31&AttributeName=DisplayName&Attributes.entry.1.key=a&Attributes.entry.1.value=b\
             &PublishBatchRequestEntries.member.1.Id=1&Tags.member.1.Key=k&Tags.member.1.Value=v\
             &MessageAttributes.entry.1.Name=m&MessageAttributes.entry.1.Value.DataType=String",
        );
        assert_eq!(fields["AttributeName"], "DisplayName");
        assert_eq!(fields["Attributes"], json!({ "a": "b" }));
        assert_eq!(fields["PublishBatchRequestEntries"], json!([{ "Id": "1" }]));
        assert_eq!(fields["Tags"], json!([{ "Key": "k", "Value": "v" }]));
        assert_eq!(fields["MessageAttributes"], json!({ "m": { "DataType": "String" } }));
    }

    #[test]
    fn names_have_a_depth_limit_and_may_not_contradict() {
        let read = |query: String| decode(&asked(&query)).map(drop).map_err(|f| f.status());
        let deep = |parts: usize| format!("Action=X&{}=1", vec!["a"; parts].join("."));
        assert_eq!([read(deep(7)), read(deep(8)), read(deep(9))], [Ok(()), Ok(()), Err(400)]);
        assert_eq!(read(deep(10_000)), Err(400));
        assert_eq!(read("Action=X&a=1&a.b=2".to_owned()), Err(400));
    }
}
