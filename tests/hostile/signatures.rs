//! Row HT-3: signatures that are old, replayed, incomplete, or of something else than what is sent.

use super::Bystander;
use crate::support::{Broker, wait_for};
use crate::wire::aws::Draft;
use crate::wire::http::exchange;

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "a/secret+with=signs";
const LIST: &str = "Action=ListQueues";
const MINUTE_S: i64 = 60;

fn good() -> Draft {
    Draft::new(KEY, SECRET, LIST)
}

/// What the answer to a request is: the code of the error, or nothing.
fn told(answer: &str) -> (u16, &str) {
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let code = answer.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    (status, code.map_or("", |(code, _)| code))
}

#[track_caller]
fn expect(port: u16, request: &[u8], status: u16, code: &str) -> String {
    let answer = exchange(port, request).expect("answers");
    assert_eq!(told(&answer), (status, code), "{}\n{answer}", String::from_utf8_lossy(request));
    answer
}

#[test]
fn ht_3_a_date_that_is_wrong_and_a_replay_that_is_late() {
    let (broker, _folder) = Broker::start_signed(KEY, SECRET);
    let port = broker.port("aws");
    expect(port, &good().bytes(), 200, "");
    for minutes in [-14, 14] {
        expect(port, &good().ago(minutes * MINUTE_S).bytes(), 200, "");
    }
    for minutes in [-16, -60 * 24 * 400, 16, 60 * 24 * 400] {
        let answer = expect(port, &good().ago(minutes * MINUTE_S).bytes(), 403, "SignatureDoesNotMatch");
        let text = if minutes > 0 { "Signature expired: " } else { "Signature not yet current: " };
        assert!(answer.contains(text), "{answer}");
    }
    for date in ["20261330T000000Z", "2026-01-02T03:04:05Z", "20260102", "now"] {
        let draft = Draft { date: date.to_owned(), ..good() };
        expect(port, &draft.bytes(), 403, "IncompleteSignature");
    }
    // As in AWS, a request may come twice while its time lasts; then it is refused.
    let captured = good().ago(15 * MINUTE_S - 4).bytes();
    expect(port, &captured, 200, "");
    wait_for("the request to be too old", || {
        let answer = exchange(port, &captured).expect("answers");
        (told(&answer) == (403, "SignatureDoesNotMatch")).then_some(())
    });
}

#[test]
fn ht_3_headers_that_matter_have_to_be_signed_once() {
    let (broker, _folder) = Broker::start_signed(KEY, SECRET);
    let mut bystander = Bystander::new_as(&broker, "orders", "secret");
    let port = broker.port("aws");
    for signed in ["x-amz-date", "host", "", ";", "host;host;x-amz-date", "host;x-amz-date;HOST"] {
        let draft = Draft { signed_headers: signed.to_owned(), ..good() };
        expect(port, &draft.bytes(), 403, "SignatureDoesNotMatch");
    }
    for header in ["x-amz-target: AmazonSQS.PurgeQueue\r\n", "x-amz-security-token: stolen\r\n"] {
        let bytes = Draft { more_headers: header.to_owned(), ..good() }.bytes();
        let answer = exchange(port, &bytes).expect("answers");
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("must be a signed header"), "{answer}");
    }
    // A long header that is signed 15,000 times would be 450 MB to hash.
    let before = super::resident_kib(&broker);
    let draft = Draft {
        signed_headers: format!("{}host;x-amz-date", "a;".repeat(15_000)),
        more_headers: format!("a: {}\r\n", "a".repeat(30_000)),
        ..good()
    };
    let answer = expect(port, &draft.bytes(), 403, "SignatureDoesNotMatch");
    assert!(answer.contains("A header may be signed once only."), "{answer}");
    let grown = super::resident_kib(&broker).saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB");
    bystander.works();
}

#[test]
fn ht_3_what_is_sent_in_another_spelling_has_one_signature_and_one_meaning() {
    let (broker, _folder) = Broker::start_signed(KEY, SECRET);
    let port = broker.port("aws");
    for (sent, signed, is_good) in [
        ("a%2Fb", "a%2Fb", true),
        ("a/b", "a%2Fb", true),
        ("a%2fb", "a%2Fb", true),
        ("a%2Fb", "a/b", false),
        ("a%252Fb", "a%2Fb", false),
        // A plus sign is a space, to the parameter and to the signature.
        ("a+b", "a%20b", true),
        ("a%20b", "a%20b", true),
        ("a+b", "a%2Bb", false),
        ("a+b", "a+b", false),
        ("a%2Bb", "a%2Bb", true),
        ("a%2Bb", "a%20b", false),
        ("%61", "a", true),
        ("a&QueueNamePrefix=b", "a", false),
    ] {
        let query = |prefix: &str| format!("{LIST}&QueueNamePrefix={prefix}");
        let draft = Draft { query: query(sent), canonical_query: query(signed), ..good() };
        let (status, code) = if is_good { (200, "") } else { (403, "SignatureDoesNotMatch") };
        expect(port, &draft.bytes(), status, code);
    }
    let no_queue = (400, "AWS.SimpleQueueService.NonExistentQueue");
    let broken = (403, "SignatureDoesNotMatch");
    for (sent, signed, (status, code)) in [
        ("/000000000000/a%2Fb", "/000000000000/a%252Fb", no_queue),
        ("/000000000000/a%2Fb", "/000000000000/a%2Fb", broken),
        ("/000000000000/a%2Fb", "/000000000000/a/b", broken),
        ("/000000000000/x/../none", "/000000000000/none", no_queue),
        ("/000000000000/a+b", "/000000000000/a%2Bb", no_queue),
        ("/000000000000/other", "/000000000000/none", broken),
    ] {
        let query = "Action=GetQueueAttributes";
        let draft =
            Draft { path: sent.to_owned(), canonical_path: signed.to_owned(), ..Draft::new(KEY, SECRET, query) };
        expect(port, &draft.bytes(), status, code);
    }
}

#[test]
fn ht_3_keys_and_secrets_that_are_empty() {
    let (broker, _folder) = Broker::start_signed(KEY, SECRET);
    let port = broker.port("aws");
    for (key, secret, code) in [
        (KEY, "", "SignatureDoesNotMatch"),
        (KEY, "wrong", "SignatureDoesNotMatch"),
        ("", "", "InvalidClientTokenId"),
        ("", SECRET, "InvalidClientTokenId"),
        ("AKIDOTHER", "", "InvalidClientTokenId"),
        ("AKIDEXAMPLE/x", SECRET, "InvalidClientTokenId"),
    ] {
        expect(port, &Draft::new(key, secret, LIST).bytes(), 403, code);
    }
    let with = |header: &str| format!("GET /?{LIST} HTTP/1.1\r\nhost: x\r\n{header}connection: close\r\n\r\n");
    expect(port, with("").as_bytes(), 403, "MissingAuthenticationToken");
    for authorization in ["", "Basic Z3Vlc3Q6Z3Vlc3Q=", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=a"] {
        let header = format!("authorization: {authorization}\r\nx-amz-date: 20260102T030405Z\r\n");
        expect(port, with(&header).as_bytes(), 403, "IncompleteSignature");
    }
    let wrong = "[[aws.keys]]\naccess_key_id = \"A\"\nsecret_access_key = \"\"\nuser = \"orders\"\n";
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("crossdock.toml");
    std::fs::write(&file, wrong).expect("writes");
    let mut check = std::process::Command::new(crate::support::binary());
    let output = check.arg("--config").arg(&file).arg("--data-dir").arg(folder.path().join("data")).output();
    assert_eq!(output.expect("runs").status.code(), Some(2), "an empty secret is none");
}

#[test]
fn ht_3_presigned_requests_that_are_over() {
    let (broker, _folder) = Broker::start_signed(KEY, SECRET);
    let port = broker.port("aws");
    expect(port, &good().presigned_bytes("60"), 200, "");
    expect(port, &good().ago(60 * MINUTE_S).presigned_bytes("3660"), 200, "");
    for (ago_s, expires) in [(61, "60"), (3600, "3599"), (8 * 24 * 3600, "604800"), (-16 * MINUTE_S, "60")] {
        expect(port, &good().ago(ago_s).presigned_bytes(expires), 403, "SignatureDoesNotMatch");
    }
    for expires in ["0", "-1", "604801", "99999999999999999999", "x", ""] {
        expect(port, &good().presigned_bytes(expires), 403, "IncompleteSignature");
    }
    // Who has one does not make it last longer, and not another one of it.
    let presigned = String::from_utf8(good().ago(120).presigned_bytes("60")).expect("text");
    for (part, other) in [("Expires=60", "Expires=6000"), (LIST, "Action=ListTopics")] {
        expect(port, presigned.replace(part, other).as_bytes(), 403, "SignatureDoesNotMatch");
    }
}
