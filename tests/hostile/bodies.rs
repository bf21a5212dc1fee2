//! Rows HT-1 and HT-2: bodies that are too large, and those that cost more than they seem to.

use std::io::Write;

use super::{Bystander, attack, ends, read_until, resident_kib, start};
use crate::support::Broker;
use crate::wire::connect;
use crate::wire::http::{Http, exchange};

/// What the AWS listener takes, by its defaults: three times a message, and 256 KiB.
const BODY_BYTES_MAX: usize = (3 << 20) + (256 << 10);
/// A connection that is over is listened to for 16 MiB more, of which nothing is kept; the rest is what sockets hold.
const UNHEARD_BYTES_MAX: usize = 48 << 20;
const GROWTH_KIB_MAX: u64 = 64 << 10;
const TARGET: &str = "content-type: application/x-amz-json-1.0\r\nx-amz-target: AmazonSQS.CreateQueue\r\n";
const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:in-texts";
const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

fn head(headers: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: x\r\n{headers}")
}

fn post(port: u16, headers: &str, body: &str) -> String {
    let request = format!("{}connection: close\r\ncontent-length: {}\r\n\r\n{body}", head(headers), body.len());
    exchange(port, request.as_bytes()).expect("answers")
}

#[test]
fn ht_1_a_length_over_the_limit_is_refused_before_the_body() {
    let broker = start(&[]);
    let mut bystander = Bystander::new(&broker);
    for (port, headers, error) in [
        ("aws", TARGET, "com.amazon.coral.service#RequestEntityTooLargeException"),
        ("aws", FORM, "<Code>RequestEntityTooLarge</Code>"),
        ("any", TARGET, "com.amazon.coral.service#RequestEntityTooLargeException"),
    ] {
        for length in [BODY_BYTES_MAX + 1, 1 << 40] {
            // Who asks first is not told to go on.
            for expectation in ["", "expect: 100-continue\r\n"] {
                let request = format!("{}{expectation}content-length: {length}\r\n\r\n", head(headers));
                let answer = exchange(broker.port(port), request.as_bytes()).expect("answers");
                assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains(error), "{answer}");
            }
        }
    }
    let login = "authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\ncontent-length: 1000000000000\r\n\r\n";
    let request = format!("POST /api/definitions HTTP/1.1\r\nhost: x\r\n{login}");
    let answer = exchange(broker.port("management"), request.as_bytes()).expect("answers");
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    bystander.works();
}

#[test]
fn ht_1_a_chunked_body_is_refused_at_the_limit() {
    let broker = start(&[]);
    let mut bystander = Bystander::new(&broker);
    let before = resident_kib(&broker);
    let chunk = [&b"10000\r\n"[..], &[b' '; 0x10000], b"\r\n"].concat();
    for port in ["aws", "any"] {
        for headers in [TARGET, FORM] {
            let mut stream = connect(broker.port(port)).expect("connects");
            let mut reader = stream.try_clone().expect("clones");
            let told = std::thread::spawn(move || read_until(&mut reader, b"RequestEntityTooLarge"));
            stream.write_all(format!("{}transfer-encoding: chunked\r\n\r\n", head(headers)).as_bytes()).expect("sends");
            let sent = (0..).take_while(|_| stream.write_all(&chunk).is_ok()).count() * chunk.len();
            assert!(told.join().expect("ends"), "the error is told");
            assert!((BODY_BYTES_MAX..UNHEARD_BYTES_MAX).contains(&sent), "{sent} bytes were taken");
            ends(stream);
            bystander.works();
        }
    }
    let grown = resident_kib(&broker).saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB");
}

#[test]
fn ht_1_who_sends_a_whole_body_first_gets_the_answer() {
    let broker = start(&[]);
    for (port, length) in [("aws", BODY_BYTES_MAX + 1), ("aws", 8 << 20), ("any", 8 << 20)] {
        let answer = post(broker.port(port), TARGET, &" ".repeat(length));
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
    // What is as long as it may be is a good request.
    let name = r#"{"QueueName":"padded"}"#;
    let answer = post(broker.port("aws"), TARGET, &format!("{name}{}", " ".repeat(BODY_BYTES_MAX - name.len())));
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("/padded"), "{answer}");
}

#[test]
fn ht_1_chunks_that_lie_end_the_connection() {
    let broker = start(&["limits.http_idle_timeout_ms=3000"]);
    let mut bystander = Bystander::new(&broker);
    let before = resident_kib(&broker);
    let extension = [&b"5;"[..], &b"x".repeat(20 << 20)].concat();
    let trailers = [&b"0\r\n"[..], &b"a: b\r\n".repeat(1_000_000)].concat();
    let lies: [&[u8]; 7] = [
        b"ffffffffffffffff\r\nx",
        b"fffffffffffffffff\r\nx",
        b"-1\r\nx",
        b"g\r\nx",
        b"5\r\nabcdefgh\r\n0\r\n\r\n",
        &extension,
        &trailers,
    ];
    for lie in lies {
        let begin = format!("{}transfer-encoding: chunked\r\n\r\n", head(TARGET));
        attack(&broker, "aws", &[begin.as_bytes(), lie].concat());
        bystander.works();
    }
    let begin = format!("{}transfer-encoding: chunked\r\n\r\ng\r\nx", head(TARGET));
    let answer = exchange(broker.port("aws"), begin.as_bytes()).expect("answers");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("SerializationException"), "{answer}");
    // A length beside chunks is how one request is made to look like two.
    let both = format!("{}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", head(TARGET));
    let twice = format!("{}content-length: 4\r\ncontent-length: 5\r\n\r\nabcde", head(TARGET));
    for smuggled in [both, twice] {
        attack(&broker, "aws", smuggled.as_bytes());
    }
    let grown = resident_kib(&broker).saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB");
}

#[test]
fn ht_2_deep_and_wide_json_is_refused_and_costs_little() {
    let broker = start(&[]);
    let mut bystander = Bystander::new(&broker);
    let before = resident_kib(&broker);
    let keys = |count: usize| (0..count).map(|n| format!("\"{n:06x}\":0")).collect::<Vec<_>>().join(",");
    let deep = |begin: &str, end: &str| {
        format!("{{\"QueueName\":\"deep\",\"x\":{}1{}}}", begin.repeat(10_000), end.repeat(10_000))
    };
    let bodies = [
        (400, deep("[", "]")),
        (400, deep("[", "")),
        (400, deep("{\"x\":", "}")),
        (400, format!("{{{}}}", keys(250_000))),
        (413, format!("{{{}}}", keys(1_000_000))),
        // Seven bytes that would be a map each.
        (400, format!("{{\"x\":[{}{{}}]}}", "{\"\":0},".repeat(480_000))),
        (400, format!("{{\"x\":[{}1]}}", "1,".repeat(1_500_000))),
        (400, "[]".to_owned()),
        (400, "{\"QueueName\":".to_owned()),
    ];
    for (status, body) in bodies {
        let answer = post(broker.port("aws"), TARGET, &body);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        let code = if status == 400 { "SerializationException" } else { "RequestEntityTooLargeException" };
        assert!(answer.contains(&format!("com.amazon.coral.service#{code}")), "{answer}");
        bystander.works();
    }
    json_in_texts(&broker);
    let grown = resident_kib(&broker).saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB");
    bystander.works();
}

/// Policies are JSON within a text.
fn json_in_texts(broker: &Broker) {
    let mut http = Http::open(broker.port("aws")).expect("connects");
    let wide = format!("{{\\\"x\\\":[{}1]}}", "{\\\"\\\":0},".repeat(300_000));
    for text in ["[".repeat(10_000), "{\\\"a\\\":".repeat(10_000), wide] {
        for attribute in ["Policy", "RedrivePolicy", "RedriveAllowPolicy"] {
            let body = format!(r#"{{"QueueName":"in-texts","Attributes":{{"{attribute}":"{text}"}}}}"#);
            let (status, answer) = http.sqs("CreateQueue", &body).expect("answers");
            assert_eq!(status, 400, "{attribute}: {answer}");
        }
    }
    assert_eq!(http.sqs("CreateQueue", r#"{"QueueName":"in-texts"}"#).expect("answers").0, 200);
    let (_, answer) = http.sns("Action=CreateTopic&Name=in-texts").expect("answers");
    assert!(answer.contains(":in-texts"), "{answer}");
    let subscribe = format!(
        "Action=Subscribe&Protocol=sqs&TopicArn={TOPIC}&Endpoint=arn:aws:sqs:us-east-1:000000000000:in-texts\
         &Attributes.entry.1.key="
    );
    let wide = format!("%7B%22x%22:[{}1]%7D", "%7B%22%22:0%7D,".repeat(200_000));
    let message = format!("Action=Publish&TopicArn={TOPIC}&MessageStructure=json&Message={wide}");
    let (status, answer) = http.sns(&message).expect("answers");
    assert!(status == 400 && answer.contains("JSON message body failed to parse"), "{answer}");
    for policy in ["[".repeat(10_000), "%7B%22a%22:".repeat(10_000), wide] {
        for attribute in ["FilterPolicy", "RedrivePolicy", "DeliveryPolicy"] {
            let form = format!("{subscribe}{attribute}&Attributes.entry.1.value={policy}");
            let (status, answer) = http.sns(&form).expect("answers");
            assert!(status == 400 && answer.contains("<Code>InvalidParameter</Code>"), "{attribute}: {answer}");
        }
    }
}

#[test]
fn ht_2_names_that_come_twice_and_types_that_nobody_asked_for() {
    let broker = start(&[]);
    let mut http = Http::open(broker.port("aws")).expect("connects");
    let mut create = |body: &str| http.sqs("CreateQueue", body).expect("answers");
    let (status, answer) = create(r#"{"QueueName":"first","QueueName":"last"}"#);
    assert!(status == 200 && answer.contains("/last\""), "{answer}");
    let (status, answer) = create(r##"{"__type":"com.amazonaws.sqs#DeleteQueueRequest","QueueName":"typed"}"##);
    assert!(status == 200 && answer.contains("/typed\""), "{answer}");
    let (status, answer) = create(r#"{"QueueName":"twice","Attributes":{"DelaySeconds":"1","DelaySeconds":"x"}}"#);
    assert!(status == 400 && answer.contains("InvalidAttributeValue"), "{answer}");
    let (_, listed) = http.sqs("ListQueues", "{}").expect("answers");
    assert!(listed.contains("/last") && listed.contains("/typed") && !listed.contains("/first"), "{listed}");
}

#[test]
fn ht_2_forms_with_thousands_of_parameters_are_refused() {
    let broker = start(&[]);
    let mut bystander = Bystander::new(&broker);
    let mut http = Http::open(broker.port("aws")).expect("connects");
    let form = |count: usize| format!("Action=ListQueues&{}", vec!["Attribute.1.Name=x"; count - 1].join("&"));
    assert_eq!(http.sns(&form(2_000)).expect("answers").0, 200);
    let deep = format!("Action=ListQueues&{}=1", vec!["a"; 10_000].join("."));
    let both = "Action=ListQueues&a=1&a.b=2".to_owned();
    for refused in [form(2_001), form(10_000), form(150_000), deep, both, "Action=%FF".to_owned()] {
        let (status, answer) = http.sns(&refused).expect("answers");
        assert!(status == 400 && answer.contains("<Code>MalformedInput</Code>"), "{answer}");
    }
    // Numbers that are none say nothing.
    let numbers = "Action=CreateQueue&QueueName=numbers&Attribute.-1.Name=a&Attribute.4294967296.Name=b\
                   &Attribute.99999999999999999999.Name=c";
    assert_eq!(http.sns(numbers).expect("answers").0, 200);
    bystander.works();
}

#[test]
fn ht_2_the_management_api_has_such_bounds_too() {
    let broker = start(&[]);
    let mut bystander = Bystander::new(&broker);
    let mut http = Http::open(broker.port("management")).expect("connects");
    let deep = format!("{{\"arguments\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let wide = format!("{{\"arguments\":[{}1]}}", "{\"\":0},".repeat(200_000));
    for body in [deep, wide] {
        let (status, answer) = http.manage("PUT", "/api/queues/%2F/hostile", &body).expect("answers");
        assert_eq!(status, 400, "{answer}");
    }
    bystander.works();
}
