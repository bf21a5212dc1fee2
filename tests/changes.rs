//! What an operator changes at run time, over the management API, through kills of the broker: every change that was answered is
//! there after the start.

use std::collections::BTreeMap;
use std::time::Duration;

use crossdock_common::random::Random;
use serde_json::{Value, json};

use crate::support::{Broker, pause};
use crate::wire::http::Http;

/// Objects of each kind.
const OBJECTS: u64 = 3;

/// What a GET shows of an object: a field and its value; `None` if the object is not there.
type Shown = Option<(&'static str, Value)>;

/// A change on its way.
struct Change {
    path: String,
    /// `None` deletes.
    body: Option<Value>,
    shown: Shown,
}

impl Change {
    fn random(random: &mut Random, number: u64) -> Self {
        let object = random.below(OBJECTS);
        let (path, body, field, value) = match random.below(4) {
            0 => {
                let description = format!("of {number}");
                let body = json!({"description": description});
                (format!("/api/vhosts/v{object}"), body, "description", json!(description))
            }
            1 => {
                let tag = format!("tag{number}");
                let hash = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";
                (format!("/api/users/u{object}"), json!({"password_hash": hash, "tags": tag}), "tags", json!([tag]))
            }
            2 => {
                let pattern = format!("^{number}$");
                let body = json!({"configure": pattern, "write": ".*", "read": ".*"});
                (format!("/api/permissions/%2F/fixed{object}"), body, "configure", json!(pattern))
            }
            _ => {
                let definition = json!({"max-length": number});
                let body = json!({"pattern": "^x", "definition": definition, "apply-to": "queues"});
                (format!("/api/policies/%2F/p{object}"), body, "definition", definition)
            }
        };
        let keeps = random.below(4) != 0;
        Self { path, body: keeps.then_some(body), shown: keeps.then_some((field, value)) }
    }

    /// Sends it, and waits for the answer.
    fn send(&self, http: &mut Http) -> std::io::Result<(u16, String)> {
        match &self.body {
            Some(body) => http.manage("PUT", &self.path, &body.to_string()),
            None => http.manage("DELETE", &self.path, ""),
        }
    }
}

/// What was answered, and what may have been done.
#[derive(Default)]
struct Declared {
    answered: BTreeMap<String, Shown>,
    /// The last change, which nobody answered.
    unsure: Option<(String, Shown)>,
    changes: u64,
}

impl Declared {
    /// Changes one thing after the other until the broker is gone.
    fn change_until_killed(&mut self, port: u16, random: &mut Random) {
        let Ok(mut http) = Http::open(port) else { return };
        loop {
            self.changes += 1;
            let change = Change::random(random, self.changes);
            match change.send(&mut http) {
                Ok((status, text)) => {
                    let is_known = [201, 204].contains(&status) || status == 404 && change.body.is_none();
                    assert!(is_known, "{} {:?}: {status} {text}", change.path, change.body);
                    self.answered.insert(change.path, change.shown);
                }
                Err(_) => {
                    self.unsure = Some((change.path, change.shown));
                    return;
                }
            }
        }
    }

    /// Every answered change is there; of the last one, what was before or what was asked for.
    fn check(&mut self, port: u16) {
        let mut http = Http::open(port).expect("connects");
        if let Some((path, asked)) = self.unsure.take() {
            let now = shown(&mut http, &path, asked.as_ref().or(self.answered.get(&path).and_then(Option::as_ref)));
            let before = self.answered.get(&path).cloned().unwrap_or_default();
            assert!(now == asked || shown(&mut http, &path, before.as_ref()) == before, "{path} is {now:?}");
            let is_done = now == asked;
            self.answered.insert(path, if is_done { asked } else { before });
        }
        for (path, expected) in &self.answered {
            assert_eq!(shown(&mut http, path, expected.as_ref()), *expected, "{path}");
        }
    }
}

/// What is there, in the field that is looked at.
fn shown(http: &mut Http, path: &str, field: Option<&(&'static str, Value)>) -> Shown {
    let (status, text) = http.manage("GET", path, "").expect("answers");
    assert!([200, 404].contains(&status), "{path}: {status} {text}");
    let object: Value = serde_json::from_str(&text).expect("JSON");
    let field = field.map_or("name", |(field, _)| *field);
    (status == 200).then(|| (field, object[field].clone()))
}

#[test]
fn answered_changes_survive_kill_9() {
    let rounds: u64 = std::env::var("CROSSDOCK_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(15);
    let mut broker = Broker::start(&["log.level=\"warn\""]);
    let mut http = Http::open(broker.port("management")).expect("connects");
    for object in 0..OBJECTS {
        let (status, text) =
            http.manage("PUT", &format!("/api/users/fixed{object}"), "{\"tags\":\"\"}").expect("answers");
        assert_eq!(status, 201, "{text}");
    }
    let (mut declared, mut random) = (Declared::default(), Random::from_seed(5));
    for _ in 0..rounds {
        let port = broker.port("management");
        let life = Duration::from_millis(20 + random.below(200));
        std::thread::scope(|scope| {
            let client = scope.spawn(|| declared.change_until_killed(port, &mut random));
            pause(life);
            broker.kill();
            client.join().expect("it ends with the broker");
        });
        broker.restart();
        declared.check(broker.port("management"));
    }
    assert!(declared.changes > rounds, "hardly anything was changed");
}
