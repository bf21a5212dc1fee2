use serde_json::{Value as Json, json};

use super::*;

const OWNER: &str = "000000000000";
const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:orders";

fn alice() -> Caller {
    Caller::User { account: "000000000000".to_owned(), arn: "arn:aws:iam::000000000000:user/alice".to_owned() }
}

/// Somebody of another account.
fn carol() -> Caller {
    Caller::User { account: "111111111111".to_owned(), arn: "arn:aws:iam::111111111111:user/carol".to_owned() }
}

fn context() -> Context {
    Context::default()
        .with("aws:username", "alice")
        .with("aws:PrincipalArn", "arn:aws:iam::000000000000:user/alice")
        .with("aws:SourceIp", "10.1.2.3")
        .with("aws:SecureTransport", "false")
        .with("aws:CurrentTime", "2026-01-02T03:04:05Z")
        .with("aws:EpochTime", "1767323045")
        .with("aws:SourceArn", "arn:aws:sns:us-east-1:000000000000:prices")
        .with("aws:TagKeys", "team")
        .with("aws:TagKeys", "stage")
}

fn decide_for(caller: &Caller, policy: &Json) -> Decision {
    let policy = Policy::parse(&policy.to_string(), Service::Sqs).expect("a policy");
    let context = context();
    policy.decide(&Question { caller, owner: OWNER, action: "sqs:SendMessage", resource: QUEUE, context: &context })
}

/// A policy with one statement: what is usual, except for these elements (`null` takes one away).
fn statement(changes: Json) -> Json {
    let mut statement = json!({ "Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": QUEUE });
    for (name, value) in changes.as_object().expect("an object") {
        if value.is_null() {
            statement.as_object_mut().expect("an object").remove(name);
        } else {
            statement[name] = value.clone();
        }
    }
    statement
}

fn decide(caller: &Caller, changes: Json) -> Decision {
    decide_for(caller, &json!({ "Version": "2012-10-17", "Statement": [statement(changes)] }))
}

fn allows(changes: Json) -> bool {
    decide(&alice(), changes) == Decision::Allowed
}

fn denies(mut changes: Json) -> bool {
    changes["Effect"] = json!("Deny");
    decide(&alice(), changes) == Decision::Denied
}

#[test]
fn a_deny_wins_and_silence_is_neither() {
    let (allow, deny) = (statement(json!({})), statement(json!({ "Effect": "Deny" })));
    let other = statement(json!({ "Action": "sqs:DeleteMessage" }));
    for (statements, expected) in [
        (vec![&allow], Decision::Allowed),
        (vec![&allow, &deny], Decision::Denied),
        (vec![&deny, &allow], Decision::Denied),
        (vec![&other], Decision::Silent),
        (vec![], Decision::Silent),
    ] {
        assert_eq!(decide_for(&alice(), &json!({ "Statement": statements })), expected);
    }
    assert_eq!(decide_for(&alice(), &json!({ "Statement": allow })), Decision::Allowed);
}

#[test]
fn who_is_named() {
    let root = "arn:aws:iam::000000000000:root";
    let alice = "arn:aws:iam::000000000000:user/alice";
    let bob = "arn:aws:iam::000000000000:user/bob";
    for (principal, expected) in [
        (json!("*"), true),
        (json!({ "AWS": "*" }), true),
        (json!({ "AWS": "000000000000" }), true),
        (json!({ "AWS": root }), true),
        (json!({ "AWS": alice }), true),
        (json!({ "AWS": [bob, alice] }), true),
        (json!({ "AWS": bob }), false),
        (json!({ "AWS": "111111111111" }), false),
        (json!({ "Service": "sns.amazonaws.com" }), false),
        (json!({ "Federated": "cognito-identity.amazonaws.com" }), false),
        (json!({ "CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be" }), false),
        (json!({ "Service": "sns.amazonaws.com", "AWS": alice }), true),
    ] {
        assert_eq!(denies(json!({ "Principal": principal })), expected, "{principal}");
    }
    let policy = json!({ "Statement": statement(json!({ "Principal": { "Service": "sns.amazonaws.com" } })) });
    assert_eq!(decide_for(&Caller::Service("sns.amazonaws.com"), &policy), Decision::Allowed);
    assert_eq!(decide_for(&Caller::Service("s3.amazonaws.com"), &policy), Decision::Silent);
}

#[test]
fn what_is_named() {
    for (action, expected) in [
        (json!("*"), true),
        (json!("sqs:*"), true),
        (json!("SQS:sendmessage"), true),
        (json!("sqs:Send*"), true),
        (json!("sqs:Send?essage"), true),
        (json!(["sqs:DeleteMessage", "sqs:SendMessage"]), true),
        (json!("sqs:SendMessageBatch"), false),
        (json!("sqs:Receive*"), false),
    ] {
        assert_eq!(allows(json!({ "Action": action })), expected, "{action}");
        assert_eq!(allows(json!({ "Action": null, "NotAction": action })), !expected, "{action}");
    }
    for (resource, expected) in [
        (json!("*"), true),
        (json!(QUEUE), true),
        (json!("arn:aws:sqs:*:*:orders"), true),
        (json!("arn:aws:sqs:us-east-1:000000000000:o*s"), true),
        (json!("arn:aws:sqs:us-east-1:000000000000:orders-2"), false),
        (json!(["arn:aws:sqs:a:000000000000:b", QUEUE]), true),
    ] {
        assert_eq!(allows(json!({ "Resource": resource })), expected, "{resource}");
        assert_eq!(allows(json!({ "Resource": null, "NotResource": resource })), !expected, "{resource}");
    }
    assert!(allows(json!({ "Resource": null })));
}

#[test]
fn conditions() {
    let topic = "arn:aws:sns:us-east-1:000000000000:prices";
    for (operator, key, wanted, expected) in [
        ("StringEquals", "aws:username", json!("alice"), true),
        ("StringEquals", "AWS:UserName", json!(["bob", "alice"]), true),
        ("StringEquals", "aws:username", json!("Alice"), false),
        ("StringEqualsIgnoreCase", "aws:username", json!("ALICE"), true),
        ("StringNotEquals", "aws:username", json!("alice"), false),
        ("StringNotEquals", "aws:username", json!(["bob", "carol"]), true),
        ("StringNotEqualsIgnoreCase", "aws:username", json!("ALICE"), false),
        ("StringLike", "aws:username", json!("al*"), true),
        ("StringLike", "aws:username", json!("al"), false),
        ("StringLike", "aws:username", json!("al${*}"), false),
        ("StringLike", "aws:username", json!("${aws:username}*"), true),
        ("StringNotLike", "aws:username", json!("b*"), true),
        ("StringEquals", "aws:PrincipalArn", json!("arn:aws:iam::000000000000:user/${aws:username}"), true),
        ("StringEquals", "aws:missing", json!("x"), false),
        ("StringNotEquals", "aws:missing", json!("x"), true),
        ("StringEqualsIfExists", "aws:missing", json!("x"), true),
        ("StringEqualsIfExists", "aws:username", json!("bob"), false),
        ("NumericEquals", "aws:EpochTime", json!(1_767_323_045), true),
        ("NumericNotEquals", "aws:EpochTime", json!("1"), true),
        ("NumericLessThan", "aws:EpochTime", json!("1767323045"), false),
        ("NumericLessThanEquals", "aws:EpochTime", json!("1767323045"), true),
        ("NumericGreaterThan", "aws:EpochTime", json!("1767323044.5"), true),
        ("NumericGreaterThanEquals", "aws:EpochTime", json!("1767323046"), false),
        ("DateEquals", "aws:CurrentTime", json!("2026-01-02T03:04:05Z"), true),
        ("DateNotEquals", "aws:CurrentTime", json!("2026-01-02T03:04:05Z"), false),
        ("DateLessThan", "aws:CurrentTime", json!("2026-01-02T03:04:06Z"), true),
        ("DateLessThanEquals", "aws:CurrentTime", json!("2026-01-02T03:04:05Z"), true),
        ("DateGreaterThan", "aws:CurrentTime", json!("2026-01-02"), true),
        ("DateGreaterThanEquals", "aws:EpochTime", json!("2026-01-03T00:00:00Z"), false),
        ("Bool", "aws:SecureTransport", json!("false"), true),
        ("Bool", "aws:SecureTransport", json!(true), false),
        ("BinaryEquals", "aws:username", json!("alice"), true),
        ("IpAddress", "aws:SourceIp", json!("10.0.0.0/8"), true),
        ("IpAddress", "aws:SourceIp", json!(["192.168.0.0/16", "10.1.2.3"]), true),
        ("IpAddress", "aws:SourceIp", json!("11.0.0.0/8"), false),
        ("NotIpAddress", "aws:SourceIp", json!("10.0.0.0/8"), false),
        ("NotIpAddress", "aws:SourceIp", json!("2001:db8::/32"), true),
        ("ArnEquals", "aws:SourceArn", json!(topic), true),
        ("ArnLike", "aws:SourceArn", json!("arn:aws:sns:*:*:pri*"), true),
        ("ArnLike", "aws:SourceArn", json!("arn:aws:*:prices"), false),
        ("ArnLike", "aws:SourceArn", json!("*"), true),
        ("ArnNotEquals", "aws:SourceArn", json!(topic), false),
        ("ArnNotLike", "aws:SourceArn", json!("arn:aws:sns:*:*:x*"), true),
        ("Null", "aws:missing", json!("true"), true),
        ("Null", "aws:missing", json!("false"), false),
        ("Null", "aws:username", json!(false), true),
        ("ForAllValues:StringEquals", "aws:TagKeys", json!(["team", "stage", "more"]), true),
        ("ForAllValues:StringEquals", "aws:TagKeys", json!(["team"]), false),
        ("ForAllValues:StringEquals", "aws:missing", json!(["team"]), true),
        ("ForAnyValue:StringEquals", "aws:TagKeys", json!(["team"]), true),
        ("ForAnyValue:StringEquals", "aws:TagKeys", json!(["other"]), false),
        ("ForAnyValue:StringEquals", "aws:missing", json!(["team"]), false),
        ("ForAnyValue:StringEqualsIfExists", "aws:missing", json!(["team"]), true),
        ("ForAllValues:StringNotLike", "aws:TagKeys", json!("x*"), true),
        ("ForAnyValue:StringNotLike", "aws:TagKeys", json!("t*"), true),
        ("ForAllValues:StringNotLike", "aws:TagKeys", json!("t*"), false),
    ] {
        let condition = json!({ "Condition": { operator: { key: wanted } } });
        assert_eq!(denies(condition), expected, "{operator} {key} {wanted}");
    }
    let both = json!({ "Condition": {
        "StringEquals": { "aws:username": "alice", "aws:missing": "x" },
        "Bool": { "aws:SecureTransport": "false" },
    } });
    assert!(!denies(both), "all conditions have to hold");
}

#[test]
fn a_deny_spares_whom_it_names_with_his_account() {
    let root = |account: &str| format!("arn:aws:iam::{account}:root");
    let (alice_arn, bob_arn) = ("arn:aws:iam::000000000000:user/alice", "arn:aws:iam::000000000000:user/bob");
    for (principal, denied) in [
        (json!({ "AWS": [alice_arn, root(OWNER)] }), false),
        (json!({ "AWS": [OWNER, bob_arn, alice_arn] }), false),
        (json!({ "AWS": "*" }), false),
        (json!("*"), false),
        // Others of the account, which is named only because IAM asks for it.
        (json!({ "AWS": [bob_arn, root(OWNER)] }), true),
        (json!({ "AWS": root(OWNER) }), true),
        (json!({ "AWS": OWNER }), true),
        (json!({ "AWS": alice_arn }), true),
        (json!({ "AWS": [alice_arn, root("111111111111")] }), true),
        (json!({ "Service": "sns.amazonaws.com" }), true),
    ] {
        let statement = json!({ "Effect": "Deny", "Principal": null, "NotPrincipal": principal });
        assert_eq!(denies(statement.clone()), denied, "{principal}");
        let is_spared = principal == json!("*") || principal["AWS"] == "*" || principal["Service"].is_string();
        let decided = decide(&Caller::Service("sns.amazonaws.com"), statement);
        assert_eq!(decided == Decision::Denied, !is_spared, "{principal}");
    }
}

#[test]
fn who_is_given_something() {
    let root = |account: &str| format!("arn:aws:iam::{account}:root");
    let (alice_arn, carol_arn) = ("arn:aws:iam::000000000000:user/alice", "arn:aws:iam::111111111111:user/carol");
    for (principal, to_alice, to_carol) in [
        (json!("*"), true, true),
        (json!({ "AWS": "*" }), true, true),
        // An account's own users have what its permissions give them.
        (json!({ "AWS": OWNER }), false, false),
        (json!({ "AWS": root(OWNER) }), false, false),
        (json!({ "AWS": [root(OWNER), alice_arn] }), true, false),
        (json!({ "AWS": "111111111111" }), false, true),
        (json!({ "AWS": root("111111111111") }), false, true),
        (json!({ "AWS": alice_arn }), true, false),
        (json!({ "AWS": carol_arn }), false, true),
        (json!({ "AWS": "arn:aws:iam::000000000000:user/carol" }), false, false),
        (json!({ "Service": "sns.amazonaws.com" }), false, false),
        (json!({ "Service": "*" }), false, false),
    ] {
        let decided = [alice(), carol()].map(|who| decide(&who, json!({ "Principal": principal })));
        let expected = [to_alice, to_carol].map(|gives| if gives { Decision::Allowed } else { Decision::Silent });
        assert_eq!(decided, expected, "{principal}");
    }
    let but = |named: &str| json!({ "Principal": null, "NotPrincipal": { "AWS": named } });
    assert_eq!(decide(&alice(), but(carol_arn)), Decision::Allowed);
    assert_eq!(decide(&alice(), but(OWNER)), Decision::Silent);
    assert_eq!(decide(&carol(), but(carol_arn)), Decision::Silent);
}

#[test]
fn what_nobody_can_judge_gives_nothing() {
    for (operator, key) in [
        ("StringEquals", "aws:PrincipalOrgID"),
        ("StringNotEquals", "aws:PrincipalOrgID"),
        ("StringNotEqualsIfExists", "aws:SourceVpce"),
        ("StringEqualsIfExists", "aws:PrincipalTag/team"),
        ("ForAllValues:StringEquals", "aws:TagKeys"),
        ("Null", "aws:MultiFactorAuthAge"),
        ("StringNotEquals", "aws:SourceOwner"),
        ("StringEquals", "aws:SourceOwner"),
        ("StringNotLike", "whatever"),
    ] {
        let wanted = if operator == "Null" { "true" } else { "team" };
        let condition = json!({ "Condition": { operator: { key: wanted } } });
        assert_eq!(decide(&carol(), condition), Decision::Silent, "{operator} {key}");
    }
    let judged = |key: &str| json!({ "Condition": { "StringNotEquals": { key: "arn:aws:sns:r:000000000000:t" } } });
    assert!(allows(judged("aws:SourceAccount")), "it is known that the request has none");
    assert!(!allows(
        json!({ "Condition": { "StringEquals": { "aws:username": "alice", "aws:PrincipalOrgID": "o" } } })
    ));
}

#[test]
fn what_is_no_policy_is_refused() {
    let bad = |changes: Json| json!({ "Version": "2012-10-17", "Statement": [statement(changes)] });
    let many = |count: usize| json!({ "Statement": vec![statement(json!({})); count] });
    let actions = |count: usize| bad(json!({ "Action": vec!["sqs:SendMessage"; count] }));
    let principals = |count: usize| bad(json!({ "Principal": { "AWS": vec!["000000000000"; count] } }));
    let conditions = |count: usize| {
        let keys: serde_json::Map<String, Json> = (0..count).map(|key| (format!("aws:k{key}"), json!("v"))).collect();
        bad(json!({ "Condition": { "StringEquals": keys } }))
    };
    let parse = |policy: &Json| Policy::parse(&policy.to_string(), Service::Sqs).map(drop);
    for (good, too_much) in [
        (many(20), many(21)),
        (actions(7), actions(8)),
        (principals(50), principals(51)),
        (conditions(10), conditions(11)),
    ] {
        assert_eq!(parse(&good), Ok(()));
        assert!(parse(&too_much).is_err(), "{too_much}");
    }
    for policy in [
        json!([]),
        json!({}),
        json!({ "Statement": "all" }),
        json!({ "Statement": [1] }),
        json!({ "Version": "2020-01-01", "Statement": [] }),
        json!({ "Id": 1, "Statement": [] }),
        json!({ "Statement": [], "More": 1 }),
        bad(json!({ "Effect": null })),
        bad(json!({ "Effect": "allow" })),
        bad(json!({ "Principal": null })),
        bad(json!({ "NotPrincipal": "*" })),
        bad(json!({ "Principal": "alice" })),
        bad(json!({ "Principal": {} })),
        bad(json!({ "Principal": { "AWS": [] } })),
        bad(json!({ "Principal": { "AWS": "alice" } })),
        bad(json!({ "Principal": { "AWS": "arn:aws:iam::000000000000:user/*" } })),
        bad(json!({ "Principal": { "Service": "sns" } })),
        bad(json!({ "Principal": { "Somebody": "x" } })),
        bad(json!({ "Action": null })),
        bad(json!({ "Action": [] })),
        bad(json!({ "Action": "SendMessage" })),
        bad(json!({ "Action": "sns:Publish" })),
        bad(json!({ "NotAction": "sqs:*" })),
        bad(json!({ "Resource": "orders" })),
        bad(json!({ "Resource": 1 })),
        bad(json!({ "Sid": 1 })),
        bad(json!({ "Whoever": "x" })),
        bad(json!({ "Condition": [] })),
        bad(json!({ "Condition": { "StringMatches": { "a": "b" } } })),
        bad(json!({ "Condition": { "ForSome:StringEquals": { "a": "b" } } })),
        bad(json!({ "Condition": { "NullIfExists": { "a": "true" } } })),
        bad(json!({ "Condition": { "StringEquals": "x" } })),
        bad(json!({ "Condition": { "StringEquals": { "a": {} } } })),
        bad(json!({ "Condition": { "NumericEquals": { "a": "x" } } })),
        bad(json!({ "Condition": { "DateEquals": { "a": "x" } } })),
        bad(json!({ "Condition": { "Bool": { "a": "x" } } })),
        bad(json!({ "Condition": { "IpAddress": { "a": "x" } } })),
    ] {
        assert!(parse(&policy).is_err(), "{policy}");
    }
    assert!(Policy::parse("nonsense", Service::Sqs).is_err());
    let long = format!("{}{}", " ".repeat(8_192), json!({ "Statement": [] }));
    assert_eq!(Policy::parse(&long, Service::Sqs).map(drop), Err(Malformed("it is too long")));
}

#[test]
fn a_new_policy_says_something_that_there_is() {
    let of = |statements: Json| {
        let text = json!({ "Statement": statements }).to_string();
        Policy::parse(&text, Service::Sqs).expect("an old one holds");
        Policy::parse_new(&text, Service::Sqs, &["SendMessage", "DeleteMessage"]).is_ok()
    };
    let of_action = |action: Json| of(json!([statement(json!({ "Action": action }))]));
    for known in ["sqs:SendMessage", "SQS:sendmessage", "sqs:*", "*", "sqs:Send*", "sqs:?eleteMessage"] {
        assert!(of_action(json!(known)), "{known}");
    }
    for unknown in
        [json!("sqs:Foo"), json!(["sqs:SendMessage", "sqs:Foo"]), json!("sqs:Foo*"), json!("sqs:SendMessages")]
    {
        assert!(!of_action(unknown.clone()), "{unknown}");
    }
    let with_id = |id: &str| statement(json!({ "Sid": id }));
    assert!(of(json!([with_id("one"), with_id("two"), statement(json!({})), statement(json!({}))])));
    assert!(of(json!([with_id(""), with_id("")])) && of(json!(with_id("one"))));
    assert!(!of(json!([with_id("one"), with_id("two"), with_id("one")])));
    assert!(!of(json!([])));
}
