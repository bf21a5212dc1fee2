//! Files that RabbitMQ 3.10 wrote, and one as RabbitMQ 4 writes them, into a broker and out of it.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::auth::{Authenticator, AuthenticatorOptions, Users};
use crate::broker::{Engine, Startup, start};
use crate::config::Settings;
use crate::telemetry::Metrics;

const RABBITMQ_3: &str = include_str!("../../tests/definitions/rabbitmq-3.10.json");
const RABBITMQ_3_SHOP: &str = include_str!("../../tests/definitions/rabbitmq-3.10-shop.json");
const RABBITMQ_4: &str = include_str!("../../tests/definitions/rabbitmq-4.json");

fn engine(data_dir: &Path) -> Arc<Engine> {
    let options = AuthenticatorOptions { verifications_concurrent_max: 1, ..AuthenticatorOptions::default() };
    let authenticator = Arc::new(Authenticator::new(Users::default(), options).unwrap());
    let settings = Settings { data_dir: data_dir.to_owned(), ..Settings::default() };
    let runtime = tokio::runtime::Handle::current();
    let startup = Startup::default();
    let threads: crate::broker::Threads = Arc::new(move |_| runtime.clone());
    start(&settings, Vec::new(), authenticator, Arc::new(Metrics::new()), &startup, 1, &threads).unwrap()
}

async fn import(engine: &Engine, file: &str, vhost: Option<&str>) -> Plan {
    let now = engine.clock.now();
    let planned = plan(Definitions::parse(file, vhost).unwrap(), &engine.administration, now);
    let fates: Vec<Fate> = planned.steps.iter().map(|step| step.fate).collect();
    let done = apply(planned, &engine.administration, now).await.unwrap();
    assert_eq!(done.steps.iter().map(|step| step.fate).collect::<Vec<_>>(), fates, "as planned:\n{done}");
    done
}

fn whys(plan: &Plan, fate: Fate) -> Vec<String> {
    let steps = plan.steps.iter().filter(|step| step.fate == fate);
    steps.map(|step| format!("{} {}: {}", step.section.key(), step.identity, step.why)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rabbitmq_3_wrote_is_imported_and_importing_it_again_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    {
        let engine = engine(folder.path());
        let done = import(&engine, RABBITMQ_3, None).await;
        assert_eq!(whys(&done, Fate::Dropped), Vec::<String>::new());
        assert_eq!(whys(&done, Fate::Changed), ["policies mirror in shop: without effect here: ha-mode, ha-sync-mode"]);
        let again = plan(Definitions::parse(RABBITMQ_3, None).unwrap(), &engine.administration, engine.clock.now());
        assert!(again.is_empty(), "{again}");
        assert!(again.to_string().ends_with("\nNothing is to be done.\n"), "{again}");
        engine.flushed().await;
        engine.close().unwrap();
    }
    let engine = engine(folder.path());
    let after = plan(Definitions::parse(RABBITMQ_3, None).unwrap(), &engine.administration, engine.clock.now());
    // What does not survive a restart in RabbitMQ does not here.
    assert_eq!(whys(&after, Fate::Kept), ["exchanges gone in shop: ", "queues passing in shop: "]);
    engine.authenticator.authenticate("127.0.0.1".parse().unwrap(), "orders", b"secret-orders").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_can_be_read_again() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, other) = (engine(one.path()), engine(other.path()));
    import(&one, RABBITMQ_3, None).await;
    let file = export(&one.administration, one.clock.now(), None).to_file(false).to_string();
    import(&other, &file, None).await;
    let copy = export(&other.administration, other.clock.now(), None).to_file(false).to_string();
    assert_eq!(copy, file);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_one_vhost_goes_into_any_vhost() {
    assert_eq!(Definitions::parse(RABBITMQ_3_SHOP, None).unwrap_err(), DefinitionsError::NoVhost);
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let done = import(&engine, RABBITMQ_3_SHOP, Some("other")).await;
    assert_eq!(whys(&done, Fate::Dropped), Vec::<String>::new());
    assert!(engine.administration.vhost("other").is_some() && engine.administration.vhost("shop").is_none());
    let written = export(&engine.administration, engine.clock.now(), Some("other")).to_file(true);
    assert_eq!(written["queues"].as_array().unwrap().len(), 9);
    assert!(written["queues"][0].get("vhost").is_none() && written.get("users").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_whole_file_one_vhost_can_be_taken() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let done = import(&engine, RABBITMQ_3, Some("shop")).await;
    let dropped = whys(&done, Fate::Dropped);
    assert_eq!(dropped.len(), 3, "permissions of users who are not there: {dropped:?}");
    assert!(engine.administration.vhost("empty").is_none() && engine.administration.users().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_rabbitmq_4_says_what_is_changed_and_dropped_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let done = import(&engine, RABBITMQ_4, None).await;
    assert_eq!(
        whys(&done, Fate::Changed),
        [
            "vhosts /: replaces what is there",
            "users future: comes without its password, whose hash is of an unknown kind: set a new one",
            "parameters shovel move in /: kept, without effect: shovel is not supported",
            "policies streams in replicated: without effect here: stream-max-segment-size-bytes",
        ]
    );
    let dropped = whys(&done, Fate::Dropped);
    assert!(dropped[0].starts_with("permissions orders in replicated: the expression '^(?!secret)' is not understood"));
    assert_eq!(
        dropped[1..],
        [
            "permissions gone in /: there is no user 'gone'",
            "policies unknown in /: [{<<\"no-such-key\">>,1}] are not recognised policy settings",
            "exchanges odd in /: unknown exchange type 'x-no-such-kind'",
            "queues wrong in /: invalid arg 'x-message-ttl' for queue 'wrong' in vhost '/': \"expected integer, got longstr\"",
            "bindings odd to queue wrong in /, key '': there is no exchange 'odd'",
        ]
    );
    let (vhost, _) = engine.administration.vhost("replicated").unwrap();
    assert_eq!(
        (vhost.default_queue_type.as_deref(), vhost.tags),
        (Some("quorum"), vec!["a".to_owned(), "b".to_owned()])
    );
    let again = plan(Definitions::parse(RABBITMQ_4, None).unwrap(), &engine.administration, engine.clock.now());
    assert_eq!(again.count(Fate::Kept), 0, "{again}");
    assert_eq!(whys(&again, Fate::Changed), Vec::<String>::new());
}

/// The journal of the definitions would take nothing after a batch that is longer than its segments.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_is_dropped_and_the_rest_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let long = "x".repeat(5 << 20);
    let binding = |key: &str| {
        serde_json::json!({
            "source": "amq.direct", "vhost": "/", "destination": "q", "destination_type": "queue", "routing_key": key,
            "arguments": {},
        })
    };
    let queue = |name: &str, arguments: serde_json::Value| serde_json::json!({ "name": name, "vhost": "/", "durable": true, "auto_delete": false, "arguments": arguments });
    let file = serde_json::json!({
        "global_parameters": [{ "name": "p", "value": long }],
        "queues": [queue("a", serde_json::json!({ "x": long })), queue("q", serde_json::json!({}))],
        "bindings": [binding(&long), binding("k")],
    });
    let now = engine.clock.now();
    let planned = plan(Definitions::parse(&file.to_string(), None).unwrap(), &engine.administration, now);
    let done = apply(planned, &engine.administration, now).await.unwrap();
    assert_eq!(whys(&done, Fate::Dropped).len(), 3);
    let broker = engine.administration.broker();
    assert!(broker.has_queue(&"/".into(), &"q".into()) && !broker.has_queue(&"/".into(), &"a".into()));
    assert_eq!(broker.bindings_from(&"/".into(), &"amq.direct".into()).len(), 1);
}

#[test]
fn what_is_no_definitions_file_is_refused() {
    assert!(matches!(Definitions::parse("{", None), Err(DefinitionsError::Json(_))));
    assert_eq!(Definitions::parse("[]", None).unwrap_err(), DefinitionsError::NoObject);
    assert_eq!(Definitions::parse(r#"{"queues": 1}"#, None).unwrap_err(), DefinitionsError::NoList("queues"));
    let odd = Definitions::parse(r#"{"users": [{"name": 5}, {}], "colour": "red"}"#, None).unwrap();
    assert_eq!((odd.unreadable.len(), odd.unknown.as_slice()), (2, &["colour".to_owned()][..]));
}
