//! Declared, in effect, durable, and there again after a restart.

use std::path::Path;
use std::sync::Arc;

use crossdock_common::definition::{Definition, QueueSpec};
use crossdock_common::event::Reply;
use crossdock_common::{Refusal, Table, Text, Value};
use serde_json::json;

use super::*;
use crate::auth::{AuthenticatorOptions, PasswordHash, UserRecord, Users};
use crate::broker::{Engine, Startup, start};
use crate::config::{PermissionSettings, PolicySettings, UserSettings};
use crate::telemetry::Metrics;

fn settings(data_dir: &Path) -> Settings {
    let permissions = vec![PermissionSettings { configure: ".*".into(), ..PermissionSettings::default() }];
    let user = UserSettings { name: "filed".into(), permissions, ..UserSettings::default() };
    let policy = PolicySettings {
        name: Some("filed".into()),
        pattern: "^filed".into(),
        durability: Some(crate::config::Durability::Os),
        ..PolicySettings::default()
    };
    Settings { data_dir: data_dir.to_owned(), users: vec![user], policies: vec![policy], ..Settings::default() }
}

/// A broker on that directory, with the user `filed` of the configuration.
fn engine(settings: &Settings) -> Arc<Engine> {
    let mut users = Users::default();
    let password_hash = Some(PasswordHash::parse("kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR").unwrap());
    users.insert(UserRecord { name: "filed".into(), password_hash, tags: vec![] });
    engine_with(settings, users)
}

fn engine_with(settings: &Settings, users: Users) -> Arc<Engine> {
    let options = AuthenticatorOptions { verifications_concurrent_max: 1, ..AuthenticatorOptions::default() };
    let authenticator = Arc::new(Authenticator::new(users, options).unwrap());
    let runtime = tokio::runtime::Handle::current();
    let startup = Startup::default();
    let threads: crate::broker::Threads = Arc::new(move |_| runtime.clone());
    start(settings, Vec::new(), authenticator, Arc::new(Metrics::new()), &startup, 1, &threads).unwrap()
}

fn user(name: &str) -> UserRecord {
    let password_hash = Some(PasswordHash::parse("kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR").unwrap());
    UserRecord { name: name.into(), password_hash, tags: vec!["management".into()] }
}

fn permission(user: &str, vhost: &str) -> PermissionRecord {
    let all = || ".*".to_owned();
    PermissionRecord { user: user.into(), vhost: vhost.into(), configure: all(), write: all(), read: all() }
}

fn policy(vhost: &str, name: &str, definition: serde_json::Value) -> PolicyRecord {
    let definition = definition.as_object().unwrap().clone();
    let (vhost, name, pattern) = (vhost.to_owned(), name.to_owned(), "^q".to_owned());
    PolicyRecord { vhost, name, pattern, apply_to: "queues".into(), definition, priority: 0 }
}

fn declare(engine: &Engine, vhost: &str, queue: &str, arguments: Table) -> Result<Reply, Refusal> {
    let spec = QueueSpec { name: queue.into(), durable: true, arguments, ..QueueSpec::default() };
    let definition = Definition::DeclareQueue { spec, passive: false };
    engine.administration.broker().administer(engine.clock.now(), &vhost.into(), definition).0
}

fn everything(administration: &Administration) -> String {
    format!(
        "{:#?}",
        (
            administration.vhosts(),
            administration.users(),
            administration.permissions(),
            administration.topic_permissions(),
            administration.policies(PolicyKind::Policy),
            administration.policies(PolicyKind::Operator),
            administration.parameters(),
            administration.global_parameters(),
            administration.user_limits(),
        )
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_declared_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let before = {
        let engine = engine(&settings);
        let administration = &engine.administration;
        let vhost = VhostRecord {
            name: "v".into(),
            description: "of tests".into(),
            tags: vec!["t".into()],
            default_queue_type: Some("classic".into()),
            tracing: true,
            protected_from_deletion: true,
        };
        let topic = TopicPermissionRecord {
            user: "u".into(),
            vhost: "v".into(),
            exchange: "amq.topic".into(),
            write: "^{username}".into(),
            read: ".*".into(),
        };
        let shovel = ParameterRecord {
            component: "shovel".into(),
            vhost: "v".into(),
            name: "s".into(),
            value: json!({"src-uri": "amqp://"}),
        };
        let cluster = GlobalParameterRecord { name: "cluster_name".into(), value: json!("c") };
        let all = [
            administration.put_vhost(vhost).unwrap(),
            administration.put_user(user("u")).unwrap(),
            administration.put_permission(permission("u", "v")).unwrap(),
            administration.put_topic_permission(topic).unwrap(),
            administration.put_policy(PolicyKind::Policy, policy("v", "p", json!({"max-length": 9}))).unwrap(),
            administration.put_policy(PolicyKind::Operator, policy("v", "o", json!({"max-length": 5}))).unwrap(),
            administration.put_vhost_limit("v", "max-queues", &json!(2)).unwrap(),
            administration.put_user_limit("u", "max-channels", &json!(3)).unwrap(),
            administration.put_parameter(shovel).unwrap(),
            administration.put_global_parameter(cluster).unwrap(),
        ];
        for made in all {
            assert_eq!(administration.durable(made).await, Ok(Change::Created));
        }
        let before = everything(administration);
        engine.flushed().await;
        engine.close().unwrap();
        before
    };
    let engine = engine(&settings);
    assert_eq!(everything(&engine.administration), before);
    assert_eq!(engine.administration.put_user(user("u")).unwrap().change, Change::Unchanged);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_a_vhost_and_its_kind_of_queue_hold_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&settings(folder.path()));
    let administration = &engine.administration;
    declare(&engine, "/", "q1", Table::new()).unwrap();
    let _ = administration.put_vhost_limit("/", "max-queues", &json!(1)).unwrap();
    let refusal = declare(&engine, "/", "q2", Table::new()).unwrap_err();
    assert_eq!(refusal.to_string(), "cannot declare queue 'q2': queue limit in vhost '/' (1) is reached");
    declare(&engine, "/", "q1", Table::new()).expect("it is there already");
    let _ = administration.delete_vhost_limit("/", None).unwrap();
    let record = VhostRecord { name: "/".into(), default_queue_type: Some("quorum".into()), ..VhostRecord::default() };
    let _ = administration.put_vhost(record).unwrap();
    declare(&engine, "/", "q3", Table::new()).unwrap();
    let kind = |word: &'static str| vec![(Text::from_static("x-queue-type"), Value::string(word))];
    declare(&engine, "/", "q3", kind("quorum")).expect("the same kind");
    let refusal = declare(&engine, "/", "q3", kind("classic")).unwrap_err();
    assert!(refusal.to_string().starts_with("inequivalent arg 'x-queue-type' for queue 'q3'"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_configuration_declares_cannot_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&settings(folder.path()));
    let administration = &engine.administration;
    let declared = |what: &str| AdministrationError::Declared(what.to_owned());
    assert_eq!(administration.put_user(user("filed")).unwrap_err(), declared("user 'filed'"));
    assert_eq!(administration.delete_user("filed").unwrap_err(), declared("user 'filed'"));
    assert_eq!(administration.delete_vhost("/").unwrap_err(), declared("vhost '/'"));
    let error = administration.put_permission(permission("filed", "/")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "what user 'filed' may do in vhost '/' is declared in the configuration file and can only be changed there"
    );
    let error = administration.put_policy(PolicyKind::Policy, policy("/", "filed", json!({"expires": 1}))).unwrap_err();
    assert_eq!(error, declared("policy 'filed' in vhost '/'"));
    assert_eq!(administration.policies(PolicyKind::Policy)[0].1, Origin::Configuration);
    let _ = administration.put_vhost(VhostRecord { name: "v".into(), ..VhostRecord::default() }).unwrap();
    let _ = administration.put_permission(permission("filed", "v")).expect("the configuration says nothing of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vhost_goes_with_everything_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    {
        let engine = engine(&settings);
        let administration = &engine.administration;
        let vhost = || VhostRecord { name: "v".into(), description: "d".into(), ..VhostRecord::default() };
        let _ = administration.put_vhost(vhost()).unwrap();
        let _ = administration.put_user(user("u")).unwrap();
        let _ = administration.put_permission(permission("u", "v")).unwrap();
        let _ = administration.put_policy(PolicyKind::Policy, policy("v", "p", json!({"expires": 1000}))).unwrap();
        declare(&engine, "v", "q", Table::new()).unwrap();
        let made = administration.delete_vhost("v").unwrap();
        administration.durable(made).await.unwrap();
        assert!(administration.delete_vhost("v").is_err());
        let again = administration.put_vhost(VhostRecord { name: "v".into(), ..VhostRecord::default() }).unwrap();
        assert_eq!(administration.durable(again).await, Ok(Change::Created));
        engine.flushed().await;
        engine.close().unwrap();
    }
    let engine = engine(&settings);
    let administration = &engine.administration;
    assert_eq!(administration.vhost("v").unwrap().0.description, "");
    assert_eq!(administration.permissions().len(), 1, "that of the configuration");
    assert_eq!(administration.policies(PolicyKind::Policy).len(), 1);
    let list = Definition::ListQueues { prefix: "".into(), after: None, count_max: 9 };
    let answer = administration.broker().administer(engine.clock.now(), &"v".into(), list).0;
    assert!(matches!(answer, Ok(Reply::Queues(queues)) if queues.is_empty()));
}

/// The journal of the definitions would take nothing after a batch that is longer than its segments.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_to_be_kept_is_refused_and_the_next_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&settings(folder.path()));
    let administration = &engine.administration;
    let long = "x".repeat(5 << 20);
    let parameter = |value: &str| GlobalParameterRecord { name: "n".into(), value: json!(value) };
    let vhost = VhostRecord { name: "v".into(), description: long.clone(), ..VhostRecord::default() };
    let expression = PolicyRecord { pattern: long.clone(), ..policy("/", "p", json!({"max-length": 9})) };
    let refused = [
        administration.put_global_parameter(parameter(&long)),
        administration.put_vhost(vhost),
        administration.put_policy(PolicyKind::Policy, expression),
    ];
    assert!(refused.iter().all(|put| matches!(put, Err(AdministrationError::Invalid(_)))), "{refused:?}");
    assert!(administration.vhost("v").is_none() && administration.global_parameters().is_empty());
    let made = administration.put_global_parameter(parameter("short")).unwrap();
    assert_eq!(administration.durable(made).await, Ok(Change::Created));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_of_rabbitmqs_is_replaced_at_the_first_login() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&settings(folder.path()));
    let administration = &engine.administration;
    let _ = administration.put_user(user("u")).unwrap();
    let peer = "192.0.2.1".parse().unwrap();
    for name in ["u", "filed"] {
        engine.authenticator.authenticate(peer, name, b"test12").await.unwrap();
    }
    let hash = |name: &str| administration.user(name).unwrap().0.password_hash.unwrap();
    assert!(!hash("u").is_cheap() && hash("u").verify(b"test12"));
    assert!(hash("filed").is_cheap(), "the configuration's stays");
    engine.authenticator.authenticate(peer, "u", b"test12").await.unwrap();
}

#[test]
fn wrong_policies_are_refused_in_rabbitmqs_words() {
    let refused = |kind, definition| {
        let text = validate_policy(kind, &policy("/", "p", definition)).unwrap_err();
        text.strip_prefix("Validation failed\n\n").unwrap().trim_end().to_owned()
    };
    let policy_kind = PolicyKind::Policy;
    assert_eq!(refused(policy_kind, json!({"message-ttl": "x"})), "<<\"x\">> is not a valid message TTL");
    assert_eq!(refused(policy_kind, json!({"expires": 0})), "0 is not a valid queue expiry");
    assert_eq!(refused(policy_kind, json!({"max-length": -1})), "-1 is not a valid maximum length");
    assert_eq!(refused(policy_kind, json!({"overflow": "x"})), "<<\"x\">> is not a valid overflow value");
    assert_eq!(refused(policy_kind, json!({"x": 1})), "[{<<\"x\">>,1}] are not recognised policy settings");
    assert_eq!(refused(policy_kind, json!({})), "no policy provided");
    assert_eq!(
        refused(PolicyKind::Operator, json!({"dead-letter-exchange": "x"})),
        "[{<<\"dead-letter-exchange\">>,<<\"x\">>}] are not recognised policy settings"
    );
    let wrong = PolicyRecord { apply_to: "x".into(), ..policy("/", "p", json!({"expires": 1})) };
    assert!(validate_policy(policy_kind, &wrong).unwrap_err().contains("apply-to 'x' unrecognised"));
    let ignored = json!({"ha-mode": "all", "queue-mode": "lazy", "max-age": "7D", "consumer-timeout": 1});
    assert_eq!(validate_policy(policy_kind, &policy("/", "p", ignored)), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn applied_policies_are_shown_merged() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&settings(folder.path()));
    let administration = &engine.administration;
    let own = policy("/", "p", json!({"max-length": 9, "overflow": "reject-publish"}));
    let bound = policy("/", "o", json!({"max-length": 5, "message-ttl": 7}));
    let _ = administration.put_policy(PolicyKind::Policy, own).unwrap();
    let _ = administration.put_policy(PolicyKind::Operator, bound).unwrap();
    let kind = crossdock_core::QueueKind::Classic;
    let [q, other] = &administration.policies_of_queues("/", &[("q", kind), ("other", kind)])[..] else { panic!() };
    assert_eq!((q.policy.as_deref(), q.operator_policy.as_deref()), (Some("p"), Some("o")));
    let merged = json!({"max-length": 5, "message-ttl": 7, "overflow": "reject-publish"});
    assert_eq!(serde_json::Value::from(q.definition.clone()), merged);
    assert_eq!(*other, AppliedPolicies::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_administrator_of_an_earlier_version_comes_along() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { data_dir: folder.path().to_owned(), ..Settings::default() };
    let engine = engine_with(&settings, Users::default());
    let administration = &engine.administration;
    let document = Some(bytes::Bytes::from_static(b"kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"));
    administration.broker().change_documents(vec![DocumentChange { kind: "user", key: "admin".into(), document }]);
    assert!(administration.ensure_administrator().await.unwrap().is_none(), "nobody has to be made");
    assert!(administration.broker().documents("user").is_empty());
    let (admin, origin) = administration.user("admin").unwrap();
    assert_eq!((admin.tags.as_slice(), origin), (&["administrator".to_owned()][..], Origin::Runtime));
    assert_eq!(administration.permissions()[0].0, permission("admin", "/"));
    let _ = administration.delete_user("admin").unwrap();
    assert!(administration.ensure_administrator().await.unwrap().is_some(), "nobody could log in any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_documents_than_a_segment_holds_are_durable() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&settings(folder.path()));
    let administration = &engine.administration;
    let document = |number: u32| DocumentChange {
        kind: "test",
        key: format!("{number}").into(),
        document: Some(bytes::Bytes::from(vec![b'x'; 10_000])),
    };
    let sequence = administration.broker().change_documents((0..1_000).map(document).collect());
    let made = Made { change: Change::Created, sequence };
    assert!(administration.durable(made).await.is_ok());
}
