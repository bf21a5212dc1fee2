use ::http::{HeaderName, HeaderValue, Method, Uri};

use super::*;
use crate::http::Request;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2015-08-30T12:36:00Z, when all of AWS's examples were signed.
const THEN: UnixMillis = UnixMillis(1_440_938_160_000);

fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &'static str) -> Request {
    // What is no URI gets no further than the server of HTTP.
    let uri = target.parse().unwrap_or_default();
    let mut head = Head { method: method.parse().unwrap(), uri, ..Head::default() };
    for (name, value) in headers {
        let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) else { continue };
        head.headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
    }
    Request { head, body: body.into() }
}

/// A request of AWS's test suite `aws-sig-v4-test-suite`.
fn vector(method: &str, target: &str, more: &[(&str, &str)], body: &'static str, signed: &str, sum: &str) -> Request {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={signed}, \
         Signature={sum}"
    );
    let mut headers = vec![("Host", "example.amazonaws.com"), ("X-Amz-Date", "20150830T123600Z")];
    headers.extend_from_slice(more);
    headers.push(("Authorization", &authorization));
    request(method, target, &headers, body)
}

fn check(request: &Request) -> Result<(), Failure> {
    let secret_of = |key: &str| (key == "AKIDEXAMPLE").then(|| SECRET.to_owned());
    verify_at(request, THEN, &SigningKeys::default(), secret_of)
}

fn verify_at(
    request: &Request,
    now: UnixMillis,
    keys: &SigningKeys,
    secret_of: impl FnOnce(&str) -> Option<String>,
) -> Result<(), Failure> {
    let claim = Claim::read(&request.head)?;
    claim.verify_for(&["service", "iam"], (&request.head, &request.body), now, keys, secret_of)
}

fn put(request: &mut Request, name: &'static str, value: &'static str) {
    request.head.headers.insert(name, HeaderValue::from_static(value));
}

fn take(request: &mut Request, name: &str) {
    request.head.headers.remove(name);
}

const VANILLA: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

#[test]
fn the_published_vectors_are_accepted() {
    let plain = "host;x-amz-date";
    for (name, request) in [
        ("get-vanilla", vector("GET", "/", &[], "", plain, VANILLA)),
        ("get-relative", vector("GET", "/example/..", &[], "", plain, VANILLA)),
        ("get-slash", vector("GET", "//", &[], "", plain, VANILLA)),
        ("get-slash-dot-slash", vector("GET", "/./", &[], "", plain, VANILLA)),
        (
            "get-vanilla-query-order-key-case",
            vector(
                "GET",
                "/?Param2=value2&Param1=value1",
                &[],
                "",
                plain,
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
        ),
        (
            "get-utf8",
            vector("GET", "/ሴ", &[], "", plain, "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
        ),
        (
            "post-vanilla",
            vector("POST", "/", &[], "", plain, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ),
        (
            "post-x-www-form-urlencoded",
            vector(
                "POST",
                "/",
                &[("Content-Type", "application/x-www-form-urlencoded")],
                "Param1=value1",
                "content-type;host;x-amz-date",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
        ),
    ] {
        assert_eq!(check(&request), Ok(()), "{name}");
        let claim = Claim::read(&request.head).unwrap();
        assert_eq!([claim.access_key(), claim.region()], ["AKIDEXAMPLE", "us-east-1"]);
    }
}

#[test]
fn the_example_of_the_documentation_is_accepted() {
    let authorization = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
                         SignedHeaders=content-type;host;x-amz-date, \
                         Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
    let headers = [
        ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("host", "iam.amazonaws.com"),
        ("x-amz-date", "20150830T123600Z"),
        ("authorization", authorization),
    ];
    check(&request("GET", "/?Action=ListUsers&Version=2010-05-08", &headers, "")).unwrap();
}

#[test]
fn whatever_is_changed_breaks_the_signature() {
    let good = || vector("GET", "/", &[], "", "host;x-amz-date", VANILLA);
    let change = |change: &dyn Fn(&mut Request)| {
        let mut request = good();
        change(&mut request);
        check(&request).unwrap_err().query_code()
    };
    assert_eq!(change(&|request| request.head.method = Method::POST), "SignatureDoesNotMatch");
    assert_eq!(change(&|request| request.head.uri = Uri::from_static("/x")), "SignatureDoesNotMatch");
    assert_eq!(change(&|request| request.head.uri = Uri::from_static("/?a=%2F")), "SignatureDoesNotMatch");
    assert_eq!(change(&|request| request.body = "x".into()), "SignatureDoesNotMatch");
    assert_eq!(change(&|request| put(request, "host", "other")), "SignatureDoesNotMatch");
    assert_eq!(change(&|request| put(request, "x-amz-target", "AmazonSQS.PurgeQueue")), "SignatureDoesNotMatch");
    assert_eq!(change(&|request| take(request, "authorization")), "MissingAuthenticationToken");
    assert_eq!(change(&|request| take(request, "x-amz-date")), "IncompleteSignature");
    let empty = verify_at(&good(), THEN, &SigningKeys::default(), |_| Some(String::new()));
    assert_eq!(empty.unwrap_err(), Failure::UnknownKey);
    let unknown = verify_at(&good(), THEN, &SigningKeys::default(), |_| None);
    assert_eq!(unknown.unwrap_err(), Failure::UnknownKey);
    let (good, keys) = (good(), SigningKeys::default());
    let of_no_service = Claim::read(&good.head).unwrap().verify(&good.head, b"", THEN, &keys, |_| Some(SECRET.into()));
    assert_eq!(of_no_service.unwrap_err().status(), 403);
}

#[test]
fn a_signature_is_good_for_a_quarter_of_an_hour_either_way() {
    let good = vector("GET", "/", &[], "", "host;x-amz-date", VANILLA);
    let at = |offset_s: i64| {
        let now = UnixMillis(THEN.0.saturating_add_signed(offset_s * 1000));
        verify_at(&good, now, &SigningKeys::default(), |_| Some(SECRET.to_owned())).is_ok()
    };
    assert!(at(-900) && at(0) && at(899) && at(900));
    assert!(!at(-901) && !at(901) && !at(86_400 * 365));
}

#[test]
fn the_secret_is_asked_for_once() {
    let (keys, mut asked) = (SigningKeys::default(), 0);
    let mut check = |request: &Request| {
        verify_at(request, THEN, &keys, |_| {
            asked += 1;
            Some(SECRET.to_owned())
        })
    };
    let mut bad = vector("GET", "/", &[], "", "host;x-amz-date", VANILLA);
    bad.head.method = Method::POST;
    assert!(check(&bad).is_err() && check(&bad).is_err());
    let good = vector("GET", "/", &[], "", "host;x-amz-date", VANILLA);
    assert!(check(&good).is_ok() && check(&good).is_ok() && check(&bad).is_err());
    // Only a good signature makes a key known.
    assert_eq!(asked, 3);
}

#[test]
fn a_header_may_be_signed_once() {
    for (signed, is_good) in [
        ("host;x-amz-date", true),
        ("x-amz-date;host", true),
        ("host;x-amz-date;Host", false),
        ("host;;x-amz-date;", false),
    ] {
        let refused = check(&vector("GET", "/", &[], "", signed, VANILLA)).err();
        let is_doubled = refused == Some(Failure::Signature("A header may be signed once only.".to_owned()));
        assert_eq!(is_doubled, !is_good, "{signed}");
    }
}

#[test]
fn garbage_is_refused() {
    for header in ["", "Basic YQ==", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=, Signature="] {
        let request = request("GET", "/", &[("authorization", header), ("x-amz-date", "x")], "");
        assert_eq!(check(&request).unwrap_err().status(), 403, "{header}");
    }
}

proptest::proptest! {
    #[test]
    fn no_input_panics(header in ".{0,200}", query in ".{0,200}", path in ".{0,50}", date in ".{0,20}") {
        let with = request("GET", "/", &[("authorization", &header), ("x-amz-date", &date)], "");
        let _ = check(&with);
        let target = format!("{path}?X-Amz-Algorithm=AWS4-HMAC-SHA256&{query}");
        let _ = check(&request("GET", &target, &[("host", "h")], ""));
    }
}
