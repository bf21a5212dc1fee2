//! MQTT's enhanced authentication with SCRAM-SHA-256: who proves a password gets in, proves it again, and learns that the broker knows it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::support::Broker;
use crate::wire::http::Http;
use crate::wire::mqtt::{self, Mqtt};

const METHOD: &str = "SCRAM-SHA-256";
const USERS: &str = "[[users]]\nname = \"root\"\npassword = \"root\"\ntags = [\"administrator\"]\n\
    [[users]]\nname = \"orders\"\npassword = \"secret\"\n\
    permissions = [{ vhost = \"/\", configure = \".*\", write = \".*\", read = \".*\" }]\n\
    [[users]]\nname = \"hashed\"\npassword_hash = \"kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR\"\n\
    permissions = [{ vhost = \"/\", configure = \".*\", write = \".*\", read = \".*\" }]\n";

fn start() -> (Broker, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("crossdock.toml");
    std::fs::write(&file, USERS).expect("writes");
    (Broker::start_with(&["--config", file.to_str().expect("UTF-8")], &[]), folder)
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The client's part of RFC 5802.
struct Scram {
    user: String,
    password: String,
    signature: Vec<u8>,
}

impl Scram {
    fn new(user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), password: password.to_owned(), signature: Vec::new() }
    }

    fn first(&self) -> String {
        format!("n,,n={},r=fyko+d2lbbFgONRv9qkxdawL", self.user)
    }

    /// Answers `r=…,s=…,i=…`.
    fn last(&mut self, challenge: &str) -> String {
        let attribute = |name: &str| {
            challenge.split(',').find_map(|part| part.strip_prefix(name)).unwrap_or_else(|| panic!("{challenge}"))
        };
        assert!(attribute("r=").len() > 24 && attribute("r=").starts_with("fyko+d2lbbFgONRv9qkxdawL"));
        let salt = STANDARD.decode(attribute("s=")).expect("base64");
        let mut salted = [0; 32];
        let rounds = attribute("i=").parse().expect("a number");
        pbkdf2::pbkdf2_hmac::<Sha256>(self.password.as_bytes(), &salt, rounds, &mut salted);
        let without_proof = format!("c=biws,r={}", attribute("r="));
        let spoken = format!("{},{challenge},{without_proof}", &self.first()[3..]);
        let client_key = hmac(&salted, "Client Key");
        let signature = hmac(&Sha256::digest(&client_key), &spoken);
        self.signature = hmac(&hmac(&salted, "Server Key"), &spoken);
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(one, other)| one ^ other).collect();
        format!("{without_proof},p={}", STANDARD.encode(proof))
    }

    fn expected(&self) -> String {
        format!("v={}", STANDARD.encode(&self.signature))
    }
}

fn properties(method: Option<&str>, data: Option<&str>) -> Vec<u8> {
    let mut list = Vec::new();
    for (id, text) in [(0x15, method), (0x16, data)] {
        if let Some(text) = text {
            list.push(id);
            list.extend(u16::try_from(text.len()).expect("short").to_be_bytes());
            list.extend(text.as_bytes());
        }
    }
    let mut properties = vec![u8::try_from(list.len() & 127).expect("a byte")];
    if list.len() > 127 {
        properties = vec![(list.len() & 127) as u8 | 128, (list.len() >> 7) as u8];
    }
    properties.extend(list);
    properties
}

fn connect(method: Option<&str>, data: Option<&str>) -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x05\x02\0\0".to_vec();
    body.extend(properties(method, data));
    body.extend(b"\0\x05scram");
    mqtt::packet(0x10, &body)
}

fn auth(reason: u8, method: Option<&str>, data: Option<&str>) -> Vec<u8> {
    mqtt::packet(0xf0, &[&[reason][..], &properties(method, data)].concat())
}

/// The authentication data of AUTH or CONNACK: what stands behind the method.
fn data_of(body: &[u8]) -> String {
    let start = body.windows(METHOD.len()).position(|window| window == METHOD.as_bytes()).expect("the method");
    let rest = &body[start + METHOD.len()..];
    assert_eq!(rest[0], 0x16, "authentication data");
    let length = usize::from(u16::from_be_bytes([rest[1], rest[2]]));
    String::from_utf8(rest[3..3 + length].to_vec()).expect("UTF-8")
}

/// Begins, and gives what the broker asks: the packet's first byte, its reason, and what it says.
fn begin(broker: &Broker, scram: &Scram) -> (Mqtt, String) {
    let mut client = Mqtt::connected(broker.port("mqtt")).expect("connects");
    client.send(&connect(Some(METHOD), Some(&scram.first()))).expect("sends");
    let (first, body) = client.packet().expect("AUTH");
    assert_eq!((first, body[0]), (0xf0, 0x18), "{body:?}");
    (client, data_of(&body))
}

/// Logs in, and gives the CONNACK's reason.
fn login(broker: &Broker, user: &str, password: &str) -> (Mqtt, u8) {
    let mut scram = Scram::new(user, password);
    let (mut client, challenge) = begin(broker, &scram);
    client.send(&auth(0x18, Some(METHOD), Some(&scram.last(&challenge)))).expect("sends");
    let (first, body) = client.packet().expect("CONNACK");
    assert_eq!(first, 0x20, "{body:?}");
    if body[1] == 0 {
        assert_eq!(data_of(&body), scram.expected(), "the broker proves that it knows the password");
    }
    (client, body[1])
}

#[test]
fn a_password_is_proved_by_both_sides() {
    let (mut broker, _folder) = start();
    assert_eq!(login(&broker, "orders", "secret").1, 0);
    // Wrong, unknown, and known by its hash only: the same answer, after the same exchange.
    for (user, password) in [("orders", "Secret"), ("nobody", "secret"), ("hashed", "test12")] {
        assert_eq!(login(&broker, user, password).1, 0x87, "{user}");
    }
    assert_eq!(salt(&broker, "nobody"), salt(&broker, "nobody"));
    assert_ne!(salt(&broker, "nobody"), salt(&broker, "orders"));
    // Users made at run time have keys, too, also after a crash.
    let mut http = Http::open(broker.port("management")).expect("connects");
    let made = http.send_as("cm9vdDpyb290", "PUT", "/api/users/late", r#"{"password":"later","tags":""}"#);
    assert_eq!(made.expect("answers").0, 201);
    let may = r#"{"configure":".*","write":".*","read":".*"}"#;
    assert_eq!(http.send_as("cm9vdDpyb290", "PUT", "/api/permissions/%2F/late", may).expect("answers").0, 201);
    assert_eq!(login(&broker, "late", "later").1, 0);
    broker.kill();
    broker.restart();
    assert_eq!((login(&broker, "late", "later").1, login(&broker, "late", "other").1), (0, 0x87));
    let mut http = Http::open(broker.port("management")).expect("connects");
    let (_, page) = http.get_as("cm9vdDpyb290", "/api/users").expect("answers");
    assert!(!page.contains("SCRAM"), "{page}");
}

/// Users whose hash came without keys get them when they log in with the password, and the administrator of the first start has them.
#[test]
fn keys_are_made_wherever_the_password_is_seen() {
    let mut broker = Broker::start_with(&[], &[]);
    let log = broker.log();
    let (_, rest) = log.split_once("user 'admin' has the password  ").expect("a first start");
    let password = rest.split_whitespace().next().expect("a password");
    assert_eq!((login(&broker, "admin", password).1, login(&broker, "admin", "guess").1), (0, 0x87));
    let admin = STANDARD.encode(format!("admin:{password}"));
    let mut http = Http::open(broker.port("management")).expect("connects");
    let user = r#"{"password_hash":"kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR","tags":""}"#;
    assert_eq!(http.send_as(&admin, "PUT", "/api/users/moved", user).expect("answers").0, 201);
    let may = r#"{"configure":".*","write":".*","read":".*"}"#;
    assert_eq!(http.send_as(&admin, "PUT", "/api/permissions/%2F/moved", may).expect("answers").0, 201);
    assert_eq!(login(&broker, "moved", "test12").1, 0x87, "nobody knows the password yet");
    Mqtt::open_as(broker.port("mqtt"), "plain", "moved", "test12").expect("the password itself opens");
    assert_eq!((login(&broker, "moved", "test12").1, login(&broker, "moved", "test13").1), (0, 0x87));
    // Everybody looks as before after a restart, also who does not exist.
    let looks = |broker: &Broker| ["admin", "moved", "nobody"].map(|user| salt(broker, user));
    let before = looks(&broker);
    broker.kill();
    broker.restart();
    assert_eq!(looks(&broker), before);
    assert_eq!(login(&broker, "moved", "test12").1, 0);
    assert_eq!(broker.log().matches("First start").count(), 1);
}

#[test]
fn names_are_prepared_as_the_rfc_says() {
    let (broker, _folder) = start();
    // A soft hyphen is nothing, a full-width letter is a letter.
    for name in ["ord\u{ad}ers", "\u{ff4f}rders"] {
        assert_eq!(login(&broker, name, "secret").1, 0, "{name:?}");
    }
    let first = "n,,n=orders\u{7},r=fyko+d2lbbFgONRv9qkxdawL";
    assert_eq!(Mqtt::ask(broker.port("mqtt"), &connect(Some(METHOD), Some(first))).expect("answers").1[1], 0x87);
}

/// What the broker says of somebody's salt.
fn salt(broker: &Broker, user: &str) -> Option<String> {
    begin(broker, &Scram::new(user, "x")).1.split(',').nth(1).map(str::to_owned)
}

#[test]
fn somebody_who_is_in_proves_it_again_as_the_same_user_only() {
    let (broker, _folder) = start();
    let (mut client, reason) = login(&broker, "orders", "secret");
    assert_eq!(reason, 0);
    let again = |client: &mut Mqtt, user: &str, password: &str| {
        let mut scram = Scram::new(user, password);
        client.send(&auth(0x19, Some(METHOD), Some(&scram.first()))).expect("sends");
        let (first, body) = client.packet().expect("AUTH");
        assert_eq!((first, body[0]), (0xf0, 0x18), "{body:?}");
        // Everything else goes on meanwhile.
        client.send(&[0xc0, 0]).expect("pings");
        assert_eq!(client.packet().expect("PINGRESP").0, 0xd0);
        client.send(&auth(0x18, Some(METHOD), Some(&scram.last(&data_of(&body))))).expect("sends");
        let (first, body) = client.packet().expect("an answer");
        (first, body[0], scram, body)
    };
    let (first, reason, scram, body) = again(&mut client, "orders", "secret");
    assert_eq!((first, reason, data_of(&body)), (0xf0, 0, scram.expected()));
    let (first, reason, ..) = again(&mut client, "root", "root");
    assert_eq!((first, reason), (0xe0, 0x87));
    let (mut client, _) = login(&broker, "orders", "secret");
    let (first, reason, ..) = again(&mut client, "orders", "wrong");
    assert_eq!((first, reason), (0xe0, 0x87));
}

#[test]
fn what_is_no_exchange_is_refused() {
    let (broker, _folder) = start();
    let first = Scram::new("orders", "secret").first();
    for (packet, reason) in [
        (connect(Some("PLAIN"), Some("x")), 0x8c),
        (connect(None, Some(&first)), 0x82),
        (connect(Some(METHOD), None), 0x82),
        (connect(Some(METHOD), Some("p=tls-exporter,,n=orders,r=x")), 0x87),
        (connect(Some(METHOD), Some("garbage")), 0x87),
    ] {
        assert_eq!(Mqtt::ask(broker.port("mqtt"), &packet).expect("answers").1[1], reason, "{packet:?}");
    }
    for (packet, reason) in [
        (auth(0x18, Some("PLAIN"), Some("x")), 0x8c),
        (auth(0x18, None, Some("x")), 0x82),
        (auth(0x18, Some(METHOD), None), 0x82),
        (auth(0x19, Some(METHOD), Some(&first)), 0x82),
        (auth(0x00, Some(METHOD), Some(&first)), 0x82),
        (auth(0x18, Some(METHOD), Some("c=biws,r=other,p=AAAA")), 0x87),
        (mqtt::packet(0xc0, b""), 0x82),
        (mqtt::packet(0x30, b"\0\x01a\0early"), 0x82),
    ] {
        let (mut client, _) = begin(&broker, &Scram::new("orders", "secret"));
        client.send(&packet).expect("sends");
        let (first, body) = client.packet().expect("CONNACK");
        assert_eq!((first, body[1]), (0x20, reason), "{packet:?}");
        assert!(client.packet().is_err(), "closed");
    }
    // In a session: AUTH without a method before, and one that continues nothing.
    let mut plain = Mqtt::open_as(broker.port("mqtt"), "plain", "orders", "secret").expect("connects");
    plain.send(&auth(0x19, Some(METHOD), Some(&first))).expect("sends");
    assert!(plain.packet().is_err(), "closed");
    let (mut client, _) = login(&broker, "orders", "secret");
    client.send(&auth(0x18, Some(METHOD), Some(&first))).expect("sends");
    let (first, body) = client.packet().expect("DISCONNECT");
    assert_eq!((first, body[0]), (0xe0, 0x82));
}
