//! What an operator changes while the broker runs: at once for queues, exchanges and connections that are there, and again after
//! a restart.

use std::sync::Arc;

use crossdock_common::command::{Lease, Outcome, Publish};
use crossdock_common::definition::{BindingSpec, Definition, Kept, Overflow};
use crossdock_common::event::{Principal, Reply};
use crossdock_common::lane_quota::LaneShare;
use crossdock_common::{Command, Event, Lane, Name, Refusal, RequestId, Shared, Table, Value};

use super::support::{Tester, World, binding, bodies, fetch_retained, message};
use crate::{
    AppliesTo, DocumentChange, Grant, Permissions, Policies, Policy, PolicyDefinition, Rules, TopicGrant, UserRules,
    VhostRules,
};

fn policies(definition: PolicyDefinition) -> Policies {
    let pattern = regex::Regex::new("").expect("a pattern");
    let (name, vhost, applies_to) = ("p".into(), "/".into(), AppliesTo::ALL);
    let mut policies = Policies::default();
    policies.add(Policy { name, vhost, pattern, applies_to, priority: 0, definition });
    policies
}

fn fill(world: &World, client: &mut Tester, queue: &str) {
    for body in ["1", "2", "3", "4"] {
        client.publish(world, "", queue, body);
    }
}

#[test]
fn a_new_policy_bounds_queues_that_are_there_and_its_end_frees_them() {
    let mut world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    client.queue(&world, "dead", &[]);
    fill(&world, &mut client, "q");
    let definition = PolicyDefinition {
        length_max: Some(2),
        dead_letter_exchange: Some("".into()),
        dead_letter_routing_key: Some("dead"[..].into()),
        ..PolicyDefinition::default()
    };
    world.broker.set_policies(world.now, policies(definition));
    assert_eq!(client.drain(&world, "q"), ["3", "4"], "the length holds at once");
    assert_eq!(client.drain(&world, "dead"), ["1", "2"], "and the rest was dead-lettered");
    world.broker.set_policies(world.now, policies(PolicyDefinition { message_ttl_ms: Some(10), ..Default::default() }));
    client.publish(&world, "", "q", "short-lived");
    world.advance_ms(11);
    assert_eq!(client.drain(&world, "q"), Vec::<String>::new());
    world.broker.set_policies(world.now, Policies::default());
    fill(&world, &mut client, "q");
    world.advance_ms(11);
    assert_eq!(client.drain(&world, "q").len(), 4);
}

#[test]
fn policies_let_queues_refuse_go_and_give_up() {
    let mut world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    let refuse = PolicyDefinition {
        length_max: Some(1),
        overflow: Some(Overflow::RejectPublish),
        delivery_limit: Some(1),
        expires_ms: Some(1_000),
        ..PolicyDefinition::default()
    };
    world.broker.set_policies(world.now, policies(refuse));
    client.publish_message(&world, message(&world, "", "q", "in"), Some(1));
    client.publish_message(&world, message(&world, "", "q", "out"), Some(2));
    client.hear(&world);
    let is_refused = |event: &Event| matches!(event, Event::Rejected { confirm: 2, .. });
    assert!(client.events.iter().any(is_refused));
    for _ in 0..2 {
        let taken = client.fetch(&world, "q", 1, Lease::Connection);
        assert_eq!(bodies(&taken), ["in"]);
        client.settle(&world, &taken, Outcome::Released);
    }
    assert!(client.fetch(&world, "q", 1, Lease::Connection).is_empty(), "it came back twice, and once is allowed");
    world.advance_ms(1_001);
    let inspect = client.define(&world, Definition::InspectQueue { name: "q".into() });
    assert!(matches!(inspect, Err(Refusal::NotFound { .. })), "unused for a second");
}

#[test]
fn a_policy_gives_an_exchange_an_alternate() {
    let world = World::new();
    let mut client = world.client("u");
    client.exchange(&world, "e", "direct", &[]);
    client.exchange(&world, "rest", "fanout", &[]);
    client.queue(&world, "q", &[]);
    client.bind(&world, "rest", "q", "");
    client.publish(&world, "e", "k", "lost");
    let alternate = PolicyDefinition { alternate_exchange: Some("rest".into()), ..PolicyDefinition::default() };
    world.broker.set_policies(world.now, policies(alternate));
    client.publish(&world, "e", "k", "found");
    assert_eq!(client.drain(&world, "q"), ["found"]);
    client.exchange(&world, "later", "direct", &[]);
    client.publish(&world, "later", "k", "found, too");
    assert_eq!(client.drain(&world, "q"), ["found, too"]);
    world.broker.set_policies(world.now, Policies::default());
    client.publish(&world, "e", "k", "lost again");
    assert_eq!(client.drain(&world, "q"), Vec::<String>::new());
}

#[test]
fn a_deleted_vhost_ends_its_connections_and_leaves_nothing() {
    let mut world = World::new();
    let vhost = Name::from("v");
    let document = |text: &'static str| DocumentChange {
        kind: "vhost",
        key: "v".into(),
        document: Some(bytes::Bytes::from_static(text.as_bytes())),
    };
    world.broker.create_vhost(&vhost, vec![document("of the first")]);
    let mut inside = entered(&world, "u", &vhost).expect("enters");
    let mut outside = world.client("u");
    inside.queue(&world, "q", &[]);
    inside.exchange(&world, "e", "topic", &[]);
    inside.bind(&world, "e", "q", "#");
    inside.publish(&world, "e", "k", "m");
    let retained = Arc::new(message(&world, "amq.topic", "k", "last words"));
    let (lane, confirm) = (Lane(0), None);
    let publish = Publish { lane, confirm, message: retained, mandatory: false, retain: true, exactly_once: None };
    inside.send(&world, Command::Publish(publish));
    world.broker.delete_vhost(world.now, &vhost, vec![DocumentChange { document: None, ..document("") }]);
    inside.hear(&world);
    let forced = |event: &Event| matches!(event, Event::Forced { reason } if reason.as_str() == "vhost 'v' is deleted");
    assert!(inside.events.iter().any(forced));
    assert!(!outside.events.iter().any(forced));
    inside.publish_message(&world, message(&world, "e", "k", "too late"), Some(1));
    let refused = |event: &Event| matches!(event, Event::PublishRefused { refusal: Refusal::VhostNotFound { .. }, .. });
    assert!(inside.events.iter().any(refused));
    inside.client.end(world.now);
    outside.queue(&world, "q", &[]);
    world.check_ledgers();
    for is_from_snapshot in [false, true] {
        if is_from_snapshot {
            world.snapshot();
        }
        world.restart();
        assert!(!world.broker.vhost_names().contains(&vhost));
        assert!(world.broker.documents("vhost").is_empty());
    }
    world.broker.create_vhost(&vhost, vec![]);
    world.restart();
    let mut again = entered(&world, "u", &vhost).expect("a vhost without queues survives, too");
    let answer = again.request(&world, fetch_retained("#", None));
    assert!(matches!(answer, Ok(Reply::Retained(found)) if found.messages.is_empty()));
}

/// A connection that wants to enter that vhost.
fn entered(world: &World, user: &str, vhost: &Name) -> Result<Tester, Refusal> {
    let mut tester = world.stranger();
    tester.client.authenticated(RequestId(0), Principal { name: user.into(), tags: vec![] });
    tester.request(world, |request| Command::Open { request, vhost: vhost.clone() }).map(|_| tester)
}

#[test]
fn limits_count_what_is_connected() {
    let world = World::new();
    let mut rules = Rules::default();
    rules.set_vhost("/".into(), VhostRules { connections_max: Some(2), ..VhostRules::default() });
    rules.set_user("u".into(), UserRules { connections_max: Some(1), channels_max: Some(1) });
    world.broker.set_rules(rules);
    let root = Name::from("/");
    let mut first = entered(&world, "u", &root).expect("the first");
    let text = |refused: Result<Tester, Refusal>| refused.err().expect("refused").to_string();
    assert_eq!(
        text(entered(&world, "u", &root)),
        "connection refused for user 'u': user connection limit (1) is reached"
    );
    let _second = entered(&world, "other", &root).expect("another user");
    assert_eq!(
        text(entered(&world, "third", &root)),
        "access to vhost '/' refused for user 'third': connection limit (2) is reached"
    );
    let quota = first.events.iter().find_map(|event| match event {
        Event::LaneQuota(quota) => Some(quota.clone()),
        _ => None,
    });
    let mut share = LaneShare::new(quota.expect("a quota"));
    assert_eq!((share.take(), share.take()), (Ok(()), Err(1)));
    first.client.end(world.now);
    world.broker.set_rules(Rules::default());
    assert_eq!(share.take(), Err(1), "nobody is left to tell");
    drop(entered(&world, "u", &root).expect("again"));
}

#[test]
fn a_deleted_users_connections_end() {
    let world = World::new();
    let (mut gone, mut stays) = (world.client("gone"), world.client("stays"));
    world.broker.end_connections_of(&"gone".into());
    gone.hear(&world);
    stays.hear(&world);
    let forced =
        |event: &Event| matches!(event, Event::Forced { reason } if reason.as_str() == "user 'gone' is deleted");
    assert!(gone.events.iter().any(forced) && !stays.events.iter().any(forced));
}

#[test]
fn topics_are_asked_for_when_publishing_and_binding_also_after_a_change() {
    let world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    client.publish(&world, "amq.topic", "a", "unrestricted: the route is kept now");
    let mut permissions = Permissions::default();
    permissions.grant("u".into(), "/".into(), Grant::new(".*", ".*", ".*").expect("valid"));
    let topics = TopicGrant::new("^{username}", "^b").expect("valid");
    permissions.grant_topics("u".into(), "/".into(), "amq.topic".into(), topics);
    world.broker.set_permissions(permissions);
    for (key, is_refused) in [("a", true), ("u.x", false)] {
        client.events.clear();
        client.publish_message(&world, message(&world, "amq.topic", key, ""), Some(1));
        let refused =
            |event: &Event| matches!(event, Event::PublishRefused { refusal: Refusal::TopicRefused { .. }, .. });
        assert_eq!(client.events.iter().any(refused), is_refused, "{key}");
    }
    let mut bind = |exchange: &str, key: &str| client.define(&world, Definition::Bind(binding(exchange, "q", key)));
    assert!(bind("amq.topic", "b.c").is_ok() && bind("amq.direct", "a").is_ok());
    assert!(matches!(bind("amq.topic", "a"), Err(Refusal::TopicRefused { .. })));
}

fn documents(world: &World, client: &mut Tester, prefix: &str, after: Option<&str>, count_max: usize) -> Vec<String> {
    let question = Definition::ListDocuments { prefix: prefix.into(), after: after.map(Name::from), count_max };
    let Ok(Reply::Documents(found)) = client.define(world, question) else { panic!("refused") };
    found.iter().map(|(name, text)| format!("{name}={}", String::from_utf8_lossy(text))).collect()
}

#[test]
fn protocols_keep_documents_by_name() {
    let mut world = World::new();
    let mut client = world.client("u");
    let set = |name: &str, document: Option<&'static str>| Definition::SetDocument {
        name: name.into(),
        document: document.map(Into::into),
    };
    for (name, text) in [("a.2", "two"), ("a.1", "first"), ("b", "b"), ("a.1", "one"), ("a.3", "three")] {
        assert!(client.define(&world, set(name, Some(text))).is_ok());
    }
    assert!(client.define(&world, set("b", None)).is_ok());
    for snapshot in [false, true] {
        assert_eq!(documents(&world, &mut client, "a.", None, 2), ["a.1=one", "a.2=two"]);
        assert_eq!(documents(&world, &mut client, "a.", Some("a.1"), 9), ["a.2=two", "a.3=three"]);
        assert_eq!(documents(&world, &mut client, "", None, 9).len(), 3);
        if snapshot {
            world.snapshot();
        }
        world.restart();
        client = world.client("u");
    }
    let large = |bytes: usize| Definition::SetDocument { name: "c".into(), document: Some(vec![b'x'; bytes].into()) };
    assert!(client.define(&world, large(256 << 10)).is_ok());
    assert!(client.define(&world, large((256 << 10) + 1)).is_err());
}

#[test]
fn what_was_read_is_changed_only_if_it_is_still_so() {
    let world = World::new();
    let mut client = world.client("u");
    let document = |text: Option<&'static str>| Kept::Document { name: "a".into(), document: text.map(Into::into) };
    let set = |text: &'static str| Definition::SetDocument { name: "a".into(), document: Some(text.into()) };
    let ask = |client: &mut Tester, kept: Kept, change: Option<Definition>| {
        client.define(&world, Definition::IfKept { kept, change: change.map(Box::new) }).map(drop)
    };
    let later = Definition::SetDocument { name: "a.b".into(), document: Some("later".into()) };
    assert!(client.define(&world, later).is_ok());
    assert_eq!(ask(&mut client, document(Some("none")), Some(set("1"))), Err(Refusal::Changed));
    assert_eq!(ask(&mut client, document(None), Some(set("1"))), Ok(()));
    assert_eq!(ask(&mut client, document(None), Some(set("2"))), Err(Refusal::Changed));
    assert_eq!(ask(&mut client, document(Some("1")), None), Ok(()));
    let exchange = |attributes: Table| Kept::Exchange { name: "amq.fanout".into(), attributes };
    let labelled = |label: &str| vec![("a".into(), Value::string(label))];
    let update = |label: &str| Definition::UpdateExchange { name: "amq.fanout".into(), attributes: labelled(label) };
    assert_eq!(ask(&mut client, exchange(Table::new()), Some(update("1"))), Ok(()));
    assert_eq!(ask(&mut client, exchange(Table::new()), Some(update("2"))), Err(Refusal::Changed));
    assert_eq!(ask(&mut client, exchange(labelled("1")), None), Ok(()));
    client.queue(&world, "q", &[]);
    let spec = BindingSpec { attributes: labelled("1"), ..binding("amq.fanout", "q", "") };
    let bound = |attributes: Option<Table>| Kept::Binding { binding: spec.clone(), attributes };
    assert_eq!(ask(&mut client, bound(None), Some(Definition::Bind(spec.clone()))), Ok(()));
    assert_eq!(ask(&mut client, bound(None), Some(Definition::Bind(spec.clone()))), Err(Refusal::Changed));
    assert_eq!(ask(&mut client, bound(Some(labelled("1"))), None), Ok(()));
    assert_eq!(ask(&mut client, bound(Some(Table::new())), None), Err(Refusal::Changed));
    let queue = |attributes: Table| Kept::Queue { name: "q".into(), settings: Shared::default(), attributes };
    let update = |label: &str| Definition::UpdateQueue {
        name: "q".into(),
        settings: Shared::default(),
        attributes: labelled(label),
    };
    assert_eq!(ask(&mut client, queue(Table::new()), Some(update("1"))), Ok(()));
    assert_eq!(ask(&mut client, queue(Table::new()), Some(update("2"))), Err(Refusal::Changed));
    assert_eq!(ask(&mut client, queue(labelled("1")), None), Ok(()));
    let mut permissions = Permissions::default();
    permissions.grant("other".into(), "/".into(), Grant::new("", "", "^a").expect("patterns"));
    world.broker.set_permissions(permissions);
    let mut other = world.client("other");
    let mut ask = |kept: Kept, change| other.define(&world, Definition::IfKept { kept, change }).map(drop);
    assert_eq!(ask(document(Some("1")), None), Ok(()));
    assert!(matches!(ask(document(Some("1")), Some(Box::new(set("2")))), Err(Refusal::AccessRefused { .. })));
    assert!(matches!(ask(queue(labelled("1")), None), Err(Refusal::AccessRefused { .. })));
    let foreign = Kept::Document { name: "b".into(), document: None };
    assert!(matches!(ask(foreign, None), Err(Refusal::AccessRefused { .. })));
}

#[test]
fn documents_of_protocols_are_a_vhosts_own_and_ask_for_permission() {
    let mut world = World::new();
    let mut client = world.client("u");
    let set = || Definition::SetDocument { name: "mine.a".into(), document: Some("x".into()) };
    assert!(client.define(&world, set()).is_ok());
    let mut permissions = Permissions::default();
    permissions.grant("other".into(), "/".into(), Grant::new("", "", "^mine").expect("patterns"));
    world.broker.set_permissions(permissions);
    let mut other = world.client("other");
    assert_eq!(documents(&world, &mut other, "mine", None, 9), ["mine.a=x"]);
    let list = Definition::ListDocuments { prefix: "yours".into(), after: None, count_max: 1 };
    assert!(other.define(&world, list).is_err());
    assert!(other.define(&world, set()).is_err());
    world.broker.set_permissions(Permissions::everything());
    world.broker.delete_vhost(world.now, &"/".into(), Vec::new());
    world.restart();
    assert!(documents(&world, &mut world.client("u"), "", None, 9).is_empty());
}
