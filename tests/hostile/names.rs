//! Row HT-5: names that are paths, expressions that blow up, pages that do not exist.

use std::path::Path;

use super::Bystander;
use crate::support::Broker;
use crate::wire::http::{Http, exchange};

/// Nothing in the folder, nor above it, is called so.
const ESCAPED: &str = "escaped-from-there";
const QUEUE_URL: &str = "http://localhost/000000000000";

fn aws(broker: &Broker) -> Http {
    Http::open(broker.port("aws")).expect("connects")
}

fn management(broker: &Broker) -> Http {
    Http::open(broker.port("management")).expect("connects")
}

#[test]
fn ht_5_names_that_are_paths_are_no_names_to_sqs_and_sns() {
    let broker = Broker::start(&[]);
    let mut http = aws(&broker);
    let long = "x".repeat(81);
    let names = ["..", ".", "../..", "/etc/passwd", "a/b", "..%2f", "%2e%2e", "a\\u0000b", "C:x", "~root", "", &long];
    for name in names {
        let (status, answer) = http.sqs("CreateQueue", &format!("{{\"QueueName\":\"{name}\"}}")).expect("answers");
        assert!(status == 400 && answer.contains("com.amazon"), "{name}: {answer}");
    }
    for name in ["..", "..%2F..", "%2Fetc%2Fpasswd", "a%00b", "%252e", "~root", ""] {
        let (status, answer) = http.sns(&format!("Action=CreateTopic&Name={name}")).expect("answers");
        assert!(status == 400 && answer.contains("<Code>"), "{name}: {answer}");
    }
    for url in ["/../../etc/passwd", "/..%2F..%2Fetc%2Fpasswd", "/..", "/%00", "/", "/a/../../../etc/passwd"] {
        let body = format!("{{\"QueueUrl\":\"{QUEUE_URL}{url}\"}}");
        for action in ["ReceiveMessage", "DeleteQueue", "GetQueueAttributes"] {
            let (status, answer) = http.sqs(action, &body).expect("answers");
            assert!(matches!(status, 400 | 404) && answer.contains("com.amazon"), "{action} {url}: {answer}");
        }
    }
    for path in [
        "/../../../../etc/passwd?Action=ReceiveMessage",
        "/000000000000/..%2f..%2f..%2fetc%2fpasswd?Action=ReceiveMessage",
        "/../SimpleNotificationService-00000000000000000000000000000000.pem",
        "/SimpleNotificationService-..%2f..%2f..%2fetc%2fpasswd.pem",
        "/etc/ssl/cert.pem",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = exchange(broker.port("aws"), request.as_bytes()).expect("answers");
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
    }
}

#[test]
fn ht_5_names_that_are_paths_stay_names() {
    let mut broker = Broker::start(&[]);
    let mut http = management(&broker);
    let mut manage = |method: &str, path: &str, body: &str| http.manage(method, path, body).expect("answers").0;
    let name = format!("..%2F..%2F..%2F{ESCAPED}");
    let absolute = format!("%2Ftmp%2F{ESCAPED}");
    for name in [&name, &absolute] {
        assert_eq!(manage("PUT", &format!("/api/vhosts/{name}"), ""), 201);
        for kind in ["queues", "exchanges"] {
            let body = r#"{"durable":true,"type":"classic"}"#
                .replace("classic", if kind == "queues" { "classic" } else { "fanout" });
            let body = if kind == "queues" { "{\"durable\":true}" } else { &*body };
            assert_eq!(manage("PUT", &format!("/api/{kind}/{name}/{name}"), body), 201, "{kind} {name}");
        }
        let stream = r#"{"durable":true,"arguments":{"x-queue-type":"stream"}}"#;
        assert_eq!(manage("PUT", &format!("/api/queues/%2F/{name}"), stream), 201);
        let message =
            r#"{"properties":{"delivery_mode":2},"routing_key":"KEY","payload":"x","payload_encoding":"string"}"#;
        let key = name.replace("%2F", "/");
        let publish = "/api/exchanges/%2F/amq.default/publish";
        assert_eq!(manage("POST", publish, &message.replace("KEY", &key)), 200);
    }
    // Neither as they are sent nor decoded do paths of the API lead to files.
    for path in
        ["/../../../../etc/passwd", "/api/..%2f..%2fetc%2fpasswd", "/api/definitions/..%2f..%2fetc", "//etc/passwd"]
    {
        assert!(matches!(manage("GET", path, ""), 400 | 404), "{path}");
    }
    broker.kill();
    broker.restart();
    let mut http = management(&broker);
    for name in [&name, &absolute] {
        let (status, answer) = http.manage("GET", &format!("/api/queues/{name}/{name}"), "").expect("answers");
        assert_eq!(status, 200, "{answer}");
    }
    assert_eq!(called_so(broker.folder()), Vec::<String>::new());
    let above = broker.folder().ancestors().skip(1).any(|folder| folder.join(ESCAPED).exists());
    assert!(!above && !Path::new("/tmp").join(ESCAPED).exists());
}

/// What is called [`ESCAPED`] within the folder.
fn called_so(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let name = entry.display().to_string();
        if name.contains(ESCAPED) {
            found.push(name);
        }
        if entry.is_dir() {
            found.extend(called_so(&entry));
        }
    }
    found
}

#[test]
fn ht_5_expressions_that_blow_up_elsewhere() {
    let broker = Broker::start(&[]);
    let mut bystander = Bystander::new(&broker);
    let mut http = management(&broker);
    let mut manage = |method: &str, path: &str, body: &str| http.manage(method, path, body).expect("answers");
    let tail = "a".repeat(200);
    for n in 0..20 {
        assert_eq!(manage("PUT", &format!("/api/queues/%2F/{tail}{n}!"), "{}").0, 201);
    }
    let began = std::time::Instant::now();
    for expression in
        ["(a%2B)%2B$", "(a*)*$", "(a%7Ca)*$", "(a%7Caa)%2B$", "(.*a)%7B20%7D$", "%5E(([a-z])%2B.)%2B[A-Z]([a-z])%2B$"]
    {
        let path = format!("/api/queues?page=1&use_regex=true&name={expression}");
        let (status, answer) = manage("GET", &path, "");
        assert_eq!(status, 200, "{expression}: {answer}");
    }
    // Backtracking would take longer than the universe has been there.
    assert!(began.elapsed() < crate::support::PATIENCE, "{:?}", began.elapsed());
    let huge =
        ["((a%7B1000%7D)%7B1000%7D)%7B1000%7D", "(%5Cpl%7B1000%7D)%7B1000%7D", "(", "%5B", "(?=a)", "(a)%5C1", "*"];
    for expression in huge {
        let path = format!("/api/queues?page=1&use_regex=true&name={expression}");
        let (status, answer) = manage("GET", &path, "");
        assert!(status == 400 && answer.contains("Pagination parameters are invalid"), "{expression}: {answer}");
    }
    // Policies and permissions have expressions too.
    assert_eq!(manage("PUT", "/api/users/hostile", r#"{"password":"x","tags":""}"#).0, 201);
    for (pattern, status) in [("(a+)+$", 201), ("((a{1000}){1000}){1000}", 400), ("(", 400), ("(?=a)", 400)] {
        let policy = format!(r#"{{"pattern":"{pattern}","definition":{{"max-length":5}},"apply-to":"queues"}}"#);
        let rights = format!(r#"{{"configure":"{pattern}","write":"","read":""}}"#);
        for (path, body) in [("/api/policies/%2F/hostile", policy), ("/api/permissions/%2F/hostile", rights)] {
            assert_eq!(manage("PUT", path, &body).0, status, "{path} {pattern}");
        }
    }
    bystander.works();
}

#[test]
fn ht_5_pages_that_do_not_exist_in_the_management_api() {
    let broker = Broker::start(&[]);
    let mut http = management(&broker);
    let mut get = |query: &str| http.manage("GET", &format!("/api/queues?{query}"), "").expect("answers");
    for query in [
        "page=0",
        "page=-1",
        "page=x",
        "page=1.5",
        "page=1e9",
        "page=18446744073709551616",
        "page=1&page_size=0",
        "page=1&page_size=-1",
        "page=1&page_size=501",
        "page=1&page_size=99999999999999999999",
        "page=2&page_size=500",
        "page=18446744073709551615&page_size=500",
        "page=9223372036854775808&page_size=2",
    ] {
        let (status, answer) = get(query);
        assert_eq!(status, 400, "{query}: {answer}");
    }
    for query in ["page=1&page_size=500", "page=1&sort=..%2F..", "columns=a.b.c.d,,.,..", "sort=name&sort_reverse=x"] {
        let (status, answer) = get(query);
        assert_eq!(status, 200, "{query}: {answer}");
    }
}

#[test]
fn ht_5_pages_and_counts_that_do_not_exist_in_sqs() {
    let broker = Broker::start(&[]);
    let mut http = aws(&broker);
    http.sqs("CreateQueue", r#"{"QueueName":"pages"}"#).expect("answers");
    let numbers =
        ["0", "-1", "1001", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "1e400", "1.5"];
    for (action, member) in [
        ("ListQueues", "MaxResults"),
        ("ListDeadLetterSourceQueues", "MaxResults"),
        ("ReceiveMessage", "MaxNumberOfMessages"),
    ] {
        for number in numbers {
            let body = format!(r#"{{"QueueUrl":"{QUEUE_URL}/pages","{member}":{number}}}"#);
            let (status, answer) = http.sqs(action, &body).expect("answers");
            assert_eq!(status, 400, "{action} {number}: {answer}");
        }
    }
    for member in ["WaitTimeSeconds", "VisibilityTimeout"] {
        for number in ["-1", "43201", "9223372036854775807"] {
            let body = format!(r#"{{"QueueUrl":"{QUEUE_URL}/pages","{member}":{number}}}"#);
            let (status, answer) = http.sqs("ReceiveMessage", &body).expect("answers");
            assert_eq!(status, 400, "{member} {number}: {answer}");
        }
    }
    // The second is `../..`, the third no UTF-8.
    let long = "QUFB".repeat(200_000);
    for token in ["x", "Li4vLi4=", "/w==", "\\u0000", &long] {
        let (status, answer) =
            http.sqs("ListQueues", &format!(r#"{{"MaxResults":1,"NextToken":"{token}"}}"#)).expect("answers");
        assert!(status == 400 && answer.contains("Invalid or expired next token."), "{answer}");
    }
}

#[test]
fn ht_5_pages_that_do_not_exist_in_sns() {
    let broker = Broker::start(&[]);
    let mut http = aws(&broker);
    http.sns("Action=CreateTopic&Name=pages").expect("answers");
    for action in ["ListTopics", "ListSubscriptions", "ListSMSSandboxPhoneNumbers", "ListPlatformApplications"] {
        for token in ["x", "%2Fw%3D%3D", "%00"] {
            let (status, answer) = http.sns(&format!("Action={action}&NextToken={token}")).expect("answers");
            assert!(status == 400 && answer.contains("<Code>InvalidParameter</Code>"), "{action} {token}: {answer}");
        }
        // A token that nobody gave is a place in the list.
        for token in ["Li4vLi4%3D", "fn5%2Bfn5%2B", &"QUFB".repeat(200_000)] {
            let (status, answer) = http.sns(&format!("Action={action}&NextToken={token}")).expect("answers");
            assert!(matches!(status, 200 | 400), "{action}: {status} {}", &answer[..answer.len().min(300)]);
        }
    }
    for number in ["0", "-1", "101", "9223372036854775807", "9223372036854775808", "1e9", "x"] {
        let form = format!("Action=ListSMSSandboxPhoneNumbers&MaxResults={number}");
        let (status, answer) = http.sns(&form).expect("answers");
        assert_eq!(status, 400, "{number}: {answer}");
    }
}
