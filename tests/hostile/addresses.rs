//! Row HT-4: what SNS is asked to send to where nobody should have it sent. `src/bridges/sns/address.rs` has the classes of addresses,
//! `clients/python/sns_guarded.py` the same with boto3.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::http_get;
use crate::support::{Broker, wait_for};
use crate::wire::aws::Draft;
use crate::wire::http::{Http, exchange};

const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:alarms";
const KEY: &str = "AKIDEXAMPLE";
const FAILED: &str = "crossdock_sns_deliveries_total{protocol=\"http\",outcome=\"failed\"}";

/// An endpoint that waits for messages.
struct Endpoint(TcpListener);

impl Endpoint {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        listener.set_nonblocking(true).expect("sets");
        Self(listener)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("an address").port()
    }

    fn was_left_alone(&self) -> bool {
        self.0.accept().is_err()
    }

    /// Takes one message and answers with this head.
    fn take(&self, answer: &str) -> String {
        let (mut stream, _) = wait_for("a message", || self.0.accept().ok());
        stream.set_nonblocking(false).expect("sets");
        let body = body_of(&mut stream);
        stream.write_all(format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n").as_bytes()).expect("answers");
        body
    }
}

fn body_of(stream: &mut TcpStream) -> String {
    let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&heard).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            if length.and_then(|length| length.parse().ok()) == Some(body.len()) {
                return body.to_owned();
            }
        }
        match stream.read(&mut buffer).expect("a request") {
            0 => panic!("the request ended: {text}"),
            count => heard.extend_from_slice(&buffer[..count]),
        }
    }
}

fn failed(broker: &Broker) -> u32 {
    let page = http_get(broker, "/metrics");
    let value = page.lines().find_map(|line| line.strip_prefix(FAILED));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

fn subscribe(http: &mut Http, endpoint: &str) -> (u16, String) {
    let endpoint = endpoint.replace('[', "%5B").replace(']', "%5D");
    http.sns(&format!("Action=Subscribe&TopicArn={TOPIC}&Protocol=http&Endpoint={endpoint}")).expect("answers")
}

#[test]
fn ht_4_metadata_services_get_nothing_even_in_development() {
    let broker = Broker::start(&["aws.deliveries.allow=[\"loopback\",\"private\",\"link_local\"]"]);
    let mut http = Http::open(broker.port("aws")).expect("connects");
    http.sns("Action=CreateTopic&Name=alarms").expect("answers");
    for host in [
        "169.254.169.254",
        "169.254.169.254:80",
        "user@169.254.169.254",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        let (status, answer) = subscribe(&mut http, &format!("http://{host}/latest/meta-data/"));
        assert!(status == 400 && answer.contains("<Code>InvalidParameter</Code>"), "{host}: {answer}");
        assert!(answer.contains("addresses are not allowed (aws.deliveries.allow)"), "{host}: {answer}");
    }
    for endpoint in ["file:///etc/passwd", "gopher://127.0.0.1/", "http://", "http:///x", "//127.0.0.1/", "http://x y/"]
    {
        let (status, answer) = subscribe(&mut http, &endpoint.replace(' ', "%20"));
        assert!(status == 400 && answer.contains("<Code>InvalidParameter</Code>"), "{endpoint}: {answer}");
    }
}

#[test]
fn ht_4_names_and_spellings_of_the_own_machine_get_nothing() {
    let (broker, _folder) = Broker::start_signed(KEY, "secret");
    let hidden = Endpoint::new();
    let send = |query: &str| {
        let draft = Draft { service: "sns", ..Draft::new(KEY, "secret", query) };
        draft.send(broker.port("aws")).expect("answers")
    };
    let answer = send("Action=CreateTopic&Name=alarms&Version=2010-03-31");
    let arn = answer.split("<TopicArn>").nth(1).and_then(|rest| rest.split('<').next()).expect(&answer);
    let arn = arn.replace(':', "%3A");
    let subscribe = |host: &str| {
        let endpoint = format!("http%3A%2F%2F{host}%3A{}%2F", hidden.port());
        send(&format!("Action=Subscribe&Endpoint={endpoint}&Protocol=http&TopicArn={arn}&Version=2010-03-31"))
    };
    for host in ["127.0.0.1", "%5B%3A%3A1%5D", "%5B%3A%3Affff%3A127.0.0.1%5D", "10.0.0.1", "169.254.169.254"] {
        let answer = subscribe(host);
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("aws.deliveries.allow"), "{host}: {answer}");
    }
    // What has to be resolved is looked at when something is sent.
    let hosts = ["localhost", "2130706433", "0177.0.0.1", "0x7f.1", "127.1"];
    for host in hosts {
        let answer = subscribe(host);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
    }
    wait_for("all of them to be tried", || (failed(&broker) >= hosts.len() as u32).then_some(()));
    assert!(hidden.was_left_alone());
}

#[test]
fn ht_4_redirects_are_not_followed() {
    let broker = Broker::start(&[]);
    let (redirecting, hidden) = (Endpoint::new(), Endpoint::new());
    let mut http = Http::open(broker.port("aws")).expect("connects");
    http.sns("Action=CreateTopic&Name=alarms").expect("answers");
    for (tried, status) in [301, 302, 303, 307, 308].into_iter().enumerate() {
        let endpoint = format!("http://127.0.0.1:{}/{status}", redirecting.port());
        assert_eq!(subscribe(&mut http, &endpoint).0, 200);
        redirecting.take(&format!("{status} Elsewhere\r\nlocation: http://127.0.0.1:{}/", hidden.port()));
        wait_for("the failure to be known", || (failed(&broker) > tried as u32).then_some(()));
    }
    assert!(hidden.was_left_alone());
}

#[test]
fn ht_4_links_of_messages_are_ours_whatever_host_a_client_names() {
    for (setting, ours) in
        [(None, None), (Some("aws.public_url=\"https://sns.example/\""), Some("https://sns.example/"))]
    {
        let broker = Broker::start(setting.as_slice());
        let own = format!("http://127.0.0.1:{}/", broker.port("aws"));
        let ours = ours.unwrap_or(&own);
        let endpoint = Endpoint::new();
        let ask = |form: &str| {
            let hosts = "host: evil.example\r\nx-forwarded-host: evil.example\r\nforwarded: host=evil.example\r\n";
            let request = format!(
                "POST / HTTP/1.1\r\n{hosts}content-type: application/x-www-form-urlencoded\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n{form}",
                form.len()
            );
            exchange(broker.port("aws"), request.as_bytes()).expect("answers")
        };
        ask("Action=CreateTopic&Name=alarms");
        let address = format!("http://127.0.0.1:{}/", endpoint.port());
        ask(&format!("Action=Subscribe&TopicArn={TOPIC}&Protocol=http&Endpoint={address}"));
        let question = endpoint.take("200 OK");
        let token = member(&question, "Token");
        let answer = ask(&format!("Action=ConfirmSubscription&TopicArn={TOPIC}&Token={token}"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        ask(&format!("Action=Publish&TopicArn={TOPIC}&Message=x"));
        let message = endpoint.take("200 OK");
        for (text, link) in [
            (&question, "SubscribeURL"),
            (&question, "SigningCertURL"),
            (&message, "UnsubscribeURL"),
            (&message, "SigningCertURL"),
        ] {
            assert!(member(text, link).starts_with(ours), "{text}");
        }
        assert!(!question.contains("evil") && !message.contains("evil"), "{message}");
    }
}

fn member(message: &str, name: &str) -> String {
    let message: serde_json::Value = serde_json::from_str(message).expect("JSON");
    message[name].as_str().unwrap_or_else(|| panic!("no {name}: {message}")).to_owned()
}
