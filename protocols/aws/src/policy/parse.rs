//! A policy's text, with IAM's grammar and SQS's bounds.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::condition::{Condition, Operator};
use super::pattern::Pattern;
use super::{Effect, Except, Policy, Principal, Statement};
use crate::namespaces::is_account;
use crate::wire::Service;

/// How much a policy may say.
struct Bounds {
    bytes: usize,
    statements: usize,
    /// Of all statements together, as the next one.
    principals: usize,
    conditions: usize,
    /// Of one statement.
    actions: usize,
}

/// AWS's, of a queue's policy.
const OF_QUEUES: Bounds = Bounds { bytes: 8_192, statements: 20, principals: 50, conditions: 10, actions: 7 };
/// Of a topic's policy AWS says no more than its size.
const OF_TOPICS: Bounds =
    Bounds { bytes: 30_720, statements: 1_000, principals: 1_000, conditions: 1_000, actions: 1_000 };

const OUT_OF_SCOPE: Malformed = Malformed("an action is another service's");

/// It is no policy; why, for logs and tests (AWS does not tell).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub &'static str);

impl Malformed {
    /// A statement is about another service.
    pub(crate) fn is_out_of_scope(self) -> bool {
        self == OUT_OF_SCOPE
    }
}

type Object = Map<String, Json>;

pub(super) fn policy(text: &str, service: Service) -> Result<Policy, Malformed> {
    let bounds = if service == Service::Sqs { OF_QUEUES } else { OF_TOPICS };
    if text.len() > bounds.bytes {
        return Err(Malformed("it is too long"));
    }
    let Ok(Json::Object(policy)) = serde_json::from_str(text) else { return Err(Malformed("it is no JSON object")) };
    only_known(&policy, &["Version", "Id", "Statement"])?;
    if let Some(version) = policy.get("Version")
        && !["2012-10-17", "2008-10-17"].iter().any(|known| version == known)
    {
        return Err(Malformed("its version is unknown"));
    }
    if policy.get("Id").is_some_and(|id| !id.is_string()) {
        return Err(Malformed("its id is no text"));
    }
    let statements = match policy.get("Statement") {
        Some(Json::Array(statements)) => statements.iter().collect(),
        Some(statement) => vec![statement],
        None => return Err(Malformed("it has no statement")),
    };
    let statements =
        statements.into_iter().map(|one| statement(one, service, &bounds)).collect::<Result<Vec<_>, _>>()?;
    check_bounds(&statements, &bounds)?;
    Ok(Policy { statements })
}

/// What was not asked of policies once.
pub(super) fn scrutinize(policy: &Policy, text: &str) -> Result<(), Malformed> {
    if policy.statements.is_empty() {
        return Err(Malformed("it has no statement"));
    }
    let json: Json = serde_json::from_str(text).unwrap_or_default();
    let mut ids = BTreeSet::new();
    let mut ids_of_list =
        json["Statement"].as_array().into_iter().flatten().filter_map(|statement| statement["Sid"].as_str());
    // Without an id is a statement with an empty one, too.
    let is_new = |id: &str| id.is_empty() || ids.insert(id.to_owned());
    if ids_of_list.all(is_new) { Ok(()) } else { Err(Malformed("two statements have one id")) }
}

fn check_bounds(statements: &[Statement], bounds: &Bounds) -> Result<(), Malformed> {
    let of_all = |count: fn(&Statement) -> usize| statements.iter().map(count).sum::<usize>();
    let principals = of_all(|statement| match &statement.principals {
        Except::Only(principals) | Except::AllBut(principals) => principals.len(),
    });
    match () {
        () if statements.len() > bounds.statements => Err(Malformed("it has too many statements")),
        () if principals > bounds.principals => Err(Malformed("it has too many principals")),
        () if of_all(|statement| statement.conditions.len()) > bounds.conditions => {
            Err(Malformed("it has too many conditions"))
        }
        () => Ok(()),
    }
}

fn statement(json: &Json, service: Service, bounds: &Bounds) -> Result<Statement, Malformed> {
    let Json::Object(json) = json else { return Err(Malformed("a statement is no object")) };
    let known =
        ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];
    only_known(json, &known)?;
    if json.get("Sid").is_some_and(|sid| !sid.is_string()) {
        return Err(Malformed("a statement's id is no text"));
    }
    let effect = match json.get("Effect").and_then(Json::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => return Err(Malformed("a statement's effect is neither Allow nor Deny")),
    };
    let principals = either(json, "Principal", "NotPrincipal", principals)?;
    let actions = either(json, "Action", "NotAction", |json| actions(json, service, bounds))?;
    Ok(Statement {
        effect,
        principals: principals.ok_or(Malformed("a statement names no principal"))?,
        actions: actions.ok_or(Malformed("a statement names no action"))?,
        resources: either(json, "Resource", "NotResource", resources)?,
        conditions: json.get("Condition").map_or(Ok(Vec::new()), conditions)?,
    })
}

fn only_known(json: &Object, known: &[&str]) -> Result<(), Malformed> {
    let is_known = |name: &String| known.contains(&name.as_str());
    if json.keys().all(is_known) { Ok(()) } else { Err(Malformed("it has elements that do not exist")) }
}

/// An element or its opposite, not both.
fn either<T>(
    json: &Object,
    name: &str,
    opposite: &str,
    read: impl Fn(&Json) -> Result<T, Malformed>,
) -> Result<Option<Except<T>>, Malformed> {
    match (json.get(name), json.get(opposite)) {
        (Some(_), Some(_)) => Err(Malformed("an element stands beside its opposite")),
        (Some(named), None) => Ok(Some(Except::Only(read(named)?))),
        (None, Some(named)) => Ok(Some(Except::AllBut(read(named)?))),
        (None, None) => Ok(None),
    }
}

/// One text or several; none is an error.
fn texts(json: &Json) -> Result<Vec<&str>, Malformed> {
    let wrong = Malformed("an element is neither text nor a list of texts");
    match json {
        Json::String(text) => Ok(vec![text]),
        Json::Array(items) if !items.is_empty() => items.iter().map(|item| item.as_str().ok_or(wrong)).collect(),
        _ => Err(wrong),
    }
}

fn principals(json: &Json) -> Result<Vec<Principal>, Malformed> {
    match json {
        Json::String(text) if text == "*" => Ok(vec![Principal::Anybody]),
        Json::Object(kinds) if !kinds.is_empty() => {
            let mut all = Vec::new();
            for (kind, names) in kinds {
                for name in texts(names)? {
                    all.push(principal(kind, name)?);
                }
            }
            Ok(all)
        }
        _ => Err(Malformed("a principal is neither * nor an object")),
    }
}

fn principal(kind: &str, name: &str) -> Result<Principal, Malformed> {
    match kind {
        "AWS" => aws_principal(name),
        "Service" if name == "*" || name.contains('.') => Ok(Principal::Service(Pattern::new(name))),
        "Federated" => Ok(Principal::Federated),
        "CanonicalUser" => Ok(Principal::Canonical),
        _ => Err(Malformed("a principal does not exist")),
    }
}

fn aws_principal(name: &str) -> Result<Principal, Malformed> {
    if name == "*" {
        return Ok(Principal::Anybody);
    }
    if is_account(name) {
        return Ok(Principal::Account(name.to_owned()));
    }
    match name.splitn(6, ':').collect::<Vec<_>>()[..] {
        ["arn", _, "iam", "", account, "root"] if is_account(account) => Ok(Principal::Account(account.to_owned())),
        ["arn", _, "iam" | "sts", "", account, who] if is_account(account) && !who.is_empty() && !who.contains('*') => {
            Ok(Principal::Arn(name.to_owned()))
        }
        _ => Err(Malformed("a principal is no account and no ARN of somebody")),
    }
}

fn actions(json: &Json, service: Service, bounds: &Bounds) -> Result<Vec<Pattern>, Malformed> {
    let names = texts(json)?;
    let is_of_service = |name: &str| {
        name == "*"
            || name
                .split_once(':')
                .is_some_and(|(of, what)| of.eq_ignore_ascii_case(service.prefix()) && !what.is_empty())
    };
    match () {
        () if names.len() > bounds.actions => Err(Malformed("a statement has too many actions")),
        () if !names.iter().all(|name| is_of_service(name)) => Err(OUT_OF_SCOPE),
        () => Ok(names.into_iter().map(Pattern::new).collect()),
    }
}

fn resources(json: &Json) -> Result<Vec<Pattern>, Malformed> {
    let names = texts(json)?;
    if names.iter().all(|name| *name == "*" || name.starts_with("arn:")) {
        return Ok(names.into_iter().map(Pattern::new).collect());
    }
    Err(Malformed("a resource is no ARN"))
}

fn conditions(json: &Json) -> Result<Vec<Condition>, Malformed> {
    let Json::Object(operators) = json else { return Err(Malformed("conditions are no object")) };
    let mut all = Vec::new();
    for (word, keys) in operators {
        let operator = Operator::from_word(word).ok_or(Malformed("a condition's operator does not exist"))?;
        let Json::Object(keys) = keys else { return Err(Malformed("a condition has no keys")) };
        for (key, wanted) in keys {
            let condition = Condition::new(operator, key, wanted_values(wanted)?);
            all.push(condition.ok_or(Malformed("a condition's value cannot be compared so"))?);
        }
    }
    Ok(all)
}

/// One value or several: text, a number or a truth.
fn wanted_values(json: &Json) -> Result<Vec<String>, Malformed> {
    let value = |json: &Json| match json {
        Json::String(text) => Ok(text.clone()),
        Json::Number(number) => Ok(number.to_string()),
        Json::Bool(truth) => Ok(truth.to_string()),
        _ => Err(Malformed("a condition's value is no text")),
    };
    match json {
        Json::Array(items) => items.iter().map(value).collect(),
        one => Ok(vec![value(one)?]),
    }
}
