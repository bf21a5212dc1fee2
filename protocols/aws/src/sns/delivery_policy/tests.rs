use super::*;

fn delays_s(policy: &RetryPolicy) -> Vec<f64> {
    (0..=policy.retries).filter_map(|retry| policy.delay_ms(retry)).map(|ms| ms as f64 / 1_000.0).collect()
}

fn parsed(retries: &str) -> Result<RetryPolicy, String> {
    let text = format!("{{\"healthyRetryPolicy\":{retries}}}");
    SubscriptionPolicy::parse(&text).map(|policy| policy.retries.expect("given"))
}

#[test]
fn phases_follow_each_other() {
    let policy = parsed(
        r#"{"minDelayTarget":5,"maxDelayTarget":20,"numRetries":10,"numNoDelayRetries":2,"numMinDelayRetries":1,
            "numMaxDelayRetries":3,"backoffFunction":"linear"}"#,
    )
    .expect("good");
    assert_eq!(delays_s(&policy), [0.0, 0.0, 5.0, 5.0, 10.0, 15.0, 20.0, 20.0, 20.0, 20.0]);
    assert_eq!(policy.delay_ms(10), None);
    assert_eq!(delays_s(&RetryPolicy::HTTP), [20.0, 20.0, 20.0]);
    assert_eq!(delays_s(&RetryPolicy::PEOPLE).len(), 50);
    assert_eq!(RetryPolicy::SERVICES.delay_ms(100_014), Some(20_000));
    assert_eq!(RetryPolicy::SERVICES.delay_ms(100_015), None);
}

#[test]
fn functions_grow_from_the_shortest_to_the_longest_delay() {
    for (function, middle) in [("linear", 40.5), ("arithmetic", 24.7), ("geometric", 9.0), ("exponential", 16.8)] {
        let policy = parsed(&format!(
            r#"{{"minDelayTarget":1,"maxDelayTarget":80,"numRetries":5,"backoffFunction":"{function}"}}"#
        ));
        let delays = delays_s(&policy.expect("good"));
        assert!(delays.is_sorted() && delays[0] == 1.0 && delays[4] == 80.0, "{function}: {delays:?}");
        assert!((delays[2] - middle).abs() < 0.2, "{function}: {delays:?}");
    }
}

#[test]
fn what_is_no_policy_is_refused() {
    for (retries, reason) in [
        (r#"{"minDelayTarget":0,"maxDelayTarget":1,"numRetries":1}"#, "minDelayTarget must be greater"),
        (r#"{"minDelayTarget":2,"maxDelayTarget":1,"numRetries":1}"#, "maxDelayTarget must be greater"),
        (r#"{"minDelayTarget":1,"maxDelayTarget":3601,"numRetries":1}"#, "less than or equal to 3600"),
        (r#"{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":101}"#, "less than or equal to 100"),
        (r#"{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":1,"numNoDelayRetries":2}"#, "total of"),
        (r#"{"minDelayTarget":1200,"maxDelayTarget":1200,"numRetries":4}"#, "3600 seconds"),
        (r#"{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":1,"backoffFunction":"x"}"#, "one of"),
        (r#"{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":1,"other":1}"#, "Unexpected JSON member"),
        (r#"{"maxDelayTarget":1,"numRetries":1}"#, "minDelayTarget must be specified"),
        ("[]", "must be a JSON object"),
    ] {
        let failure = parsed(retries).expect_err(retries);
        assert!(failure.contains(reason), "{failure}");
    }
    for bad in ["x", "[]", r#"{"throttlePolicy":{"maxReceivesPerSecond":0}}"#] {
        assert!(SubscriptionPolicy::parse(bad).is_err(), "{bad}");
    }
    let line_break = "{\"requestPolicy\":{\"headerContentType\":\"text/plain\\r\\nx: y\"}}";
    assert!(SubscriptionPolicy::parse(line_break).is_err());
    assert!(parsed(r#"{"minDelayTarget":1200,"maxDelayTarget":1200,"numRetries":3}"#).is_ok());
}

#[test]
fn a_subscription_goes_before_its_topic_unless_that_forbids_it() {
    let topic = |is_final: bool| {
        format!(
            r#"{{"http":{{"defaultHealthyRetryPolicy":{{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":1}},
                "disableSubscriptionOverrides":{is_final}}}}}"#
        )
    };
    let own = r#"{"healthyRetryPolicy":{"minDelayTarget":2,"maxDelayTarget":2,"numRetries":2}}"#;
    let retries = |own, is_final| DeliveryPolicy::effective(own, Some(&topic(is_final))).retries.retries;
    assert_eq!((retries(Some(own), false), retries(Some(own), true), retries(None, false)), (2, 1, 1));
    assert_eq!(DeliveryPolicy::effective(None, None), DeliveryPolicy::default());
}

#[test]
fn the_default_is_aws_to_the_letter() {
    let expected = json!({ "http": {
        "defaultHealthyRetryPolicy": {
            "minDelayTarget": 20, "maxDelayTarget": 20, "numRetries": 3, "numMaxDelayRetries": 0,
            "numNoDelayRetries": 0, "numMinDelayRetries": 0, "backoffFunction": "linear"
        },
        "disableSubscriptionOverrides": false,
        "defaultRequestPolicy": { "headerContentType": "text/plain; charset=UTF-8" }
    } });
    assert_eq!(TopicPolicy::effective(None), expected.to_string());
}
