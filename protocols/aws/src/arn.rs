//! Amazon Resource Names, queue URLs and names.

use std::borrow::Cow;

use percent_encoding::{percent_decode_str, utf8_percent_encode};

use crate::error::Failure;
use crate::http::ENCODED;
use crate::namespaces::{Namespace, is_account, is_region};

/// Longest queue name.
const QUEUE_NAME_MAX: usize = 80;
/// Longest topic name.
const TOPIC_NAME_MAX: usize = 256;

/// Where a request's resources live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub region: String,
    pub account: String,
    /// Resources are the same in every region.
    pub regions_together: bool,
}

impl Place {
    /// Where a caller of that region finds the resources of the namespace.
    pub(crate) fn of(namespace: &Namespace, region: Option<&str>) -> Self {
        let region = region.filter(|_| namespace.regions_together).unwrap_or(&namespace.region);
        Self {
            region: region.to_owned(),
            account: namespace.account.clone(),
            regions_together: namespace.regions_together,
        }
    }

    fn has_region(&self, region: &str) -> bool {
        self.regions_together || region == self.region
    }

    pub(crate) fn queue_arn(&self, queue: &str) -> String {
        format!("arn:aws:sqs:{}:{}:{}", self.region, self.account, escape(queue))
    }

    pub(crate) fn topic_arn(&self, topic: &str) -> String {
        format!("arn:aws:sns:{}:{}:{topic}", self.region, self.account)
    }

    /// A resource of SNS that is no topic: `app/GCM/name`.
    pub(crate) fn sns_arn(&self, resource: &str) -> String {
        self.topic_arn(resource)
    }

    pub(crate) fn subscription_arn(&self, topic: &str, id: &str) -> String {
        format!("{}:{id}", self.topic_arn(topic))
    }

    /// The queue of an SQS ARN of this account, if SQS can call it so.
    pub(crate) fn queue_of<'a>(&self, arn: &'a str) -> Option<&'a str> {
        self.escaped_queue_of(arn).filter(|queue| is_queue_name(queue))
    }

    /// The same with names of other protocols, which are escaped.
    pub(crate) fn any_queue_of<'a>(&self, arn: &'a str) -> Option<Cow<'a, str>> {
        self.escaped_queue_of(arn).and_then(unescape)
    }

    fn escaped_queue_of<'a>(&self, arn: &'a str) -> Option<&'a str> {
        let [_, _, "sqs", region, account, queue] = split(arn)?[..] else { return None };
        (account == self.account && self.has_region(region)).then_some(queue)
    }

    /// The topic of an SNS ARN of this place.
    pub(crate) fn topic_of<'a>(&self, arn: &'a str, parameter: &str) -> Result<&'a str, Failure> {
        let topic = topic_of(arn, parameter)?;
        self.check(arn, parameter, "Topic").map(|()| topic)
    }

    /// The topic and the id of the ARN of a subscription of this place.
    pub(crate) fn subscription_of<'a>(&self, arn: &'a str) -> Result<(&'a str, &'a str), Failure> {
        let parts = subscription_of(arn)?;
        self.check(arn, "SubscriptionArn", "Subscription").map(|()| parts)
    }

    /// What is of another region is no parameter here, and what is another account's is not to be seen. The ARN is one.
    pub(crate) fn check(&self, arn: &str, parameter: &str, what: &'static str) -> Result<(), Failure> {
        let mut parts = arn.split(':').skip(3);
        let (region, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        match (self.has_region(region), account == self.account) {
            (true, true) => Ok(()),
            (true, false) => Err(Failure::SnsNotFound(what)),
            (false, _) => Err(Failure::SnsInvalid(parameter.to_owned())),
        }
    }
}

/// Somebody's queue, wherever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AnyQueue<'a> {
    pub place: Place,
    pub name: &'a str,
}

/// The queue of an SQS ARN of any account and region, if SQS can call it so.
pub(crate) fn any_queue(arn: &str) -> Option<AnyQueue<'_>> {
    let name = arn.rsplit(':').next().filter(|name| is_queue_name(name))?;
    let place = place_of_queue(arn).filter(|place| is_account(&place.account) && is_region(&place.region))?;
    Some(AnyQueue { place, name })
}

/// Where the queue of an SQS ARN is, whoever's it is.
pub(crate) fn place_of_queue(arn: &str) -> Option<Place> {
    let [_, _, "sqs", region, account, _] = split(arn)?[..] else { return None };
    Some(Place { region: region.to_owned(), account: account.to_owned(), regions_together: false })
}

/// The topic of an SNS ARN, or SNS's complaint about `parameter`.
fn topic_of<'a>(arn: &'a str, parameter: &str) -> Result<&'a str, Failure> {
    let parts = sns_parts(arn, parameter)?;
    match parts[..] {
        [_, _, "sns", _, _, topic] if is_topic_name(topic) => Ok(topic),
        _ => Err(Failure::SnsInvalid(parameter.to_owned())),
    }
}

/// The topic and the id of a subscription's ARN.
pub(crate) fn subscription_of(arn: &str) -> Result<(&str, &str), Failure> {
    let parts = sns_parts(arn, "SubscriptionArn")?;
    match parts[..] {
        [_, _, "sns", _, _, topic, id] if is_topic_name(topic) && !id.is_empty() => Ok((topic, id)),
        _ => Err(Failure::SnsInvalid("SubscriptionId".to_owned())),
    }
}

/// The platform and the name of a platform application's ARN.
pub(crate) fn application_of(arn: &str) -> Result<(&str, &str), Failure> {
    const PARAMETER: &str = "PlatformApplicationArn";
    let resource = resource_of(arn, PARAMETER)?;
    match resource.split('/').collect::<Vec<_>>()[..] {
        ["app", platform, name] => Ok((platform, name)),
        [_, _, _] => Err(Failure::SnsInvalid(PARAMETER.to_owned())),
        _ => Err(wrong_slashes(PARAMETER)),
    }
}

/// The resource of a mobile endpoint's ARN: `endpoint/GCM/name/id`.
pub(crate) fn endpoint_of<'a>(arn: &'a str, parameter: &str) -> Result<&'a str, Failure> {
    let resource = resource_of(arn, parameter)?;
    match resource.split('/').collect::<Vec<_>>()[..] {
        ["endpoint", _, _, _] => Ok(resource),
        [_, _, _, _] => Err(Failure::SnsInvalid(parameter.to_owned())),
        _ => Err(wrong_slashes(parameter)),
    }
}

/// Whether that is the ARN of a mobile endpoint, and not of a topic.
pub(crate) fn is_endpoint(arn: &str) -> bool {
    arn.split(':').nth(5).is_some_and(|resource| resource.starts_with("endpoint/"))
}

fn resource_of<'a>(arn: &'a str, parameter: &str) -> Result<&'a str, Failure> {
    match sns_parts(arn, parameter)?[..] {
        [_, _, "sns", _, _, resource] => Ok(resource),
        _ => Err(Failure::SnsInvalid(parameter.to_owned())),
    }
}

fn wrong_slashes(parameter: &str) -> Failure {
    let text = format!("{parameter} Reason: Wrong number of slashes in relative portion of the ARN.");
    Failure::SnsInvalid(text)
}

fn sns_parts<'a>(arn: &'a str, parameter: &str) -> Result<Vec<&'a str>, Failure> {
    if arn.is_empty() {
        return Err(Failure::SnsInvalid(format!("{parameter} Reason: no value for required parameter")));
    }
    let parts: Vec<&str> = arn.split(':').collect();
    if parts.len() < 6 {
        let count = parts.len();
        let reason = format!("{parameter} Reason: An ARN must have at least 6 elements, not {count}");
        return Err(Failure::SnsInvalid(reason));
    }
    Ok(parts)
}

fn split(arn: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = arn.split(':').collect();
    (parts[0] == "arn").then_some(parts)
}

/// The queue that a queue URL, a queue's path or a bare name means; `None` if it is another account's or no name at all.
///
/// Any host is accepted: `http://host/{account}/{queue}`, `http://host/queue/{queue}`,
/// `http://sqs.{region}.host/{account}/{queue}`.
pub(crate) fn queue_of_url<'a>(url: &'a str, account: &str) -> Option<Cow<'a, str>> {
    match last_segments(path_of(url)) {
        (None | Some("queue"), queue) => unescape(queue),
        (Some(owner), queue) if owner == account => unescape(queue),
        (Some(_), _) => None,
    }
}

/// The account of a queue URL that names one.
pub(crate) fn account_of_url(url: &str) -> Option<&str> {
    last_segments(path_of(url)).0
}

// Every request does the following. What is looked for is near, and found sooner than by str's own search, which is made for far.

fn path_of(url: &str) -> &str {
    let host_and_path = url.bytes().position(|byte| byte == b':').and_then(|colon| url[colon..].strip_prefix("://"));
    let slash = |text: &str| text.bytes().position(|byte| byte == b'/');
    let path = host_and_path.map_or(url, |rest| slash(rest).map_or("", |slash| &rest[slash..]));
    path.trim_matches('/')
}

/// The last segment of a path, and the one before it.
fn last_segments(path: &str) -> (Option<&str>, &str) {
    let cut = |text: &str| text.bytes().rposition(|byte| byte == b'/');
    match cut(path) {
        None => (None, path),
        Some(slash) => {
            let before = &path[..slash];
            (Some(cut(before).map_or(before, |slash| &before[slash + 1..])), &path[slash + 1..])
        }
    }
}

/// A queue's name as a part of a URL or an ARN: what SQS can say stays as it is, everything else is percent-encoded.
pub(crate) fn escape(queue: &str) -> Cow<'_, str> {
    utf8_percent_encode(queue, ENCODED).into()
}

/// The name that was escaped; `None` for what is none.
fn unescape(text: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok().filter(|name| !name.is_empty())
}

/// Whether SQS can call a queue so, a FIFO queue or another.
pub(crate) fn is_queue_name(name: &str) -> bool {
    name.len() <= QUEUE_NAME_MAX && is_made_of(name.strip_suffix(".fifo").unwrap_or(name), QUEUE_NAME_MAX)
}

/// Whether SNS can call a topic so, a FIFO topic or another.
pub(crate) fn is_topic_name(name: &str) -> bool {
    name.len() <= TOPIC_NAME_MAX && is_made_of(name.strip_suffix(".fifo").unwrap_or(name), TOPIC_NAME_MAX)
}

fn is_made_of(name: &str, max: usize) -> bool {
    (1..=max).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_queue_url_leads_to_the_queue() {
        for url in [
            "http://localhost:9324/000000000000/orders",
            "http://localhost:9324/queue/orders",
            "https://sqs.us-east-1.amazonaws.com/000000000000/orders",
            "/000000000000/orders",
            "orders",
        ] {
            assert_eq!(queue_of_url(url, "000000000000").as_deref(), Some("orders"), "{url}");
        }
        assert_eq!(queue_of_url("http://localhost/111111111111/orders", "000000000000"), None);
        for (url, account) in [
            ("http://localhost/111111111111/orders/", Some("111111111111")),
            ("/111111111111/orders", Some("111111111111")),
            ("http://localhost/orders", None),
            ("orders", None),
            ("", None),
        ] {
            assert_eq!(account_of_url(url), account, "{url}");
        }
        assert_eq!(queue_of_url("", "000000000000"), None);
    }

    #[test]
    fn every_name_of_a_queue_has_a_url_and_an_arn() {
        let place = Place::of(&crate::namespaces::tests::home(), None);
        let long = "long".repeat(50);
        for (name, escaped) in [
            ("orders.fifo", "orders.fifo"),
            ("orders.eu/äö", "orders.eu%2F%C3%A4%C3%B6"),
            ("a b:c%20?#&+", "a%20b%3Ac%2520%3F%23%26%2B"),
            (&long, &long),
        ] {
            assert_eq!(escape(name), escaped);
            let url = format!("http://localhost/000000000000/{escaped}");
            assert_eq!(queue_of_url(&url, "000000000000").as_deref(), Some(name), "{url}");
            assert_eq!(place.any_queue_of(&place.queue_arn(name)).as_deref(), Some(name));
        }
        assert_eq!(queue_of_url("http://localhost/000000000000/%FF", "000000000000"), None);
    }

    #[test]
    fn names_have_limits() {
        assert!(is_queue_name(&"a".repeat(79)) && is_queue_name(&"a".repeat(80)) && !is_queue_name(&"a".repeat(81)));
        assert!(is_topic_name(&"a".repeat(256)) && !is_topic_name(&"a".repeat(257)));
        assert!(!is_queue_name("a.b") && !is_queue_name("") && !is_queue_name(".fifo"));
        assert!(is_topic_name("a.fifo") && !is_topic_name(".fifo") && !is_topic_name("a.b"));
        assert!(is_queue_name("a.fifo") && !is_queue_name(&format!("{}.fifo", "a".repeat(76))));
    }

    #[test]
    fn arns_are_taken_apart() {
        let place = Place::of(&crate::namespaces::tests::home(), None);
        assert_eq!(place.queue_of(&place.queue_arn("q")), Some("q"));
        assert_eq!(place.queue_of("arn:aws:sqs:us-east-1:111111111111:q"), None);
        let far = |arn| any_queue(arn).map(|queue| (queue.place.region, queue.place.account, queue.name));
        let expected = Some(("eu-west-1".to_owned(), "111111111111".to_owned(), "q"));
        assert_eq!(far("arn:aws:sqs:eu-west-1:111111111111:q"), expected);
        for wrong in [
            "arn:aws:sqs:eu-west-1:1:q",
            "arn:aws:sqs:EU:111111111111:q",
            "arn:aws:sqs:eu-west-1:111111111111:a.b",
            "arn:aws:sns:eu-west-1:111111111111:q",
            "arn:aws:sqs:eu-west-1:111111111111:q:q",
            "q",
        ] {
            assert_eq!(far(wrong), None, "{wrong}");
        }
        assert_eq!(topic_of(&place.topic_arn("t"), "TopicArn").unwrap(), "t");
        assert_eq!(subscription_of(&place.subscription_arn("t", "u")).unwrap(), ("t", "u"));
        assert_eq!(application_of(&place.sns_arn("app/GCM/a")).unwrap(), ("GCM", "a"));
        let endpoint = place.sns_arn("endpoint/GCM/a/1");
        assert_eq!(endpoint_of(&endpoint, "EndpointArn").unwrap(), "endpoint/GCM/a/1");
        assert!(is_endpoint(&endpoint) && !is_endpoint(&place.topic_arn("t")));
        let failure = endpoint_of(&place.sns_arn("endpoint/GCM/a"), "EndpointArn").unwrap_err();
        let text = "Invalid parameter: EndpointArn Reason: Wrong number of slashes in relative portion of the ARN.";
        assert_eq!(failure.text(), text);
        let failure = topic_of("random", "TopicArn").unwrap_err();
        assert_eq!(failure.text(), "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1");
    }
}
