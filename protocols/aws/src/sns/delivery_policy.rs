//! DeliveryPolicy: how often and when a message is sent again. Pure: the number of a retry goes in, its delay comes out.
//!
//! After the first attempt come `numNoDelayRetries` at once, `numMinDelayRetries` after `minDelayTarget` each, the backoff phase, and
//! `numMaxDelayRetries` after `maxDelayTarget` each. What is left of `numRetries` is the backoff phase.

mod backoff;
#[cfg(test)]
mod tests;

use crate::json_text;
use serde_json::{Map, Value as Json, json};

pub use backoff::Backoff;

/// Longest delay, and all delays together, in seconds.
const DELAY_S_MAX: u64 = 3_600;
const RETRIES_MAX: u64 = 100;
const CONTENT_TYPE: &str = "text/plain; charset=UTF-8";
/// What `headerContentType` may be, parameters aside: the second list with raw delivery only.
const CONTENT_TYPES: [&str; 2] = ["application/json", "text/plain"];
const RAW_CONTENT_TYPES: [&str; 10] = [
    "text/css",
    "text/csv",
    "text/html",
    "text/xml",
    "application/atom+xml",
    "application/octet-stream",
    "application/soap+xml",
    "application/x-www-form-urlencoded",
    "application/xhtml+xml",
    "application/xml",
];

/// `healthyRetryPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    min_delay_s: u32,
    max_delay_s: u32,
    retries: u32,
    no_delay_retries: u32,
    min_delay_retries: u32,
    max_delay_retries: u32,
    backoff: Backoff,
}

impl RetryPolicy {
    /// What holds for HTTP endpoints where nothing else is said.
    pub const HTTP: Self = Self {
        min_delay_s: 20,
        max_delay_s: 20,
        retries: 3,
        no_delay_retries: 0,
        min_delay_retries: 0,
        max_delay_retries: 0,
        backoff: Backoff::Linear,
    };

    /// AWS's for e-mail, text messages and mobile push: 50 within six hours.
    pub const PEOPLE: Self = Self {
        min_delay_s: 10,
        max_delay_s: 600,
        retries: 50,
        no_delay_retries: 0,
        min_delay_retries: 2,
        max_delay_retries: 38,
        backoff: Backoff::Exponential,
    };

    /// AWS's for its own services: 100,015 within 23 days.
    pub const SERVICES: Self = Self {
        min_delay_s: 1,
        max_delay_s: 20,
        retries: 100_015,
        no_delay_retries: 3,
        min_delay_retries: 2,
        max_delay_retries: 100_000,
        backoff: Backoff::Exponential,
    };

    /// How long to wait, in milliseconds, before retry number `retry`, counted from 0; `None` if that was one too many.
    pub fn delay_ms(&self, retry: u32) -> Option<u64> {
        let (min, max) = (u64::from(self.min_delay_s) * 1_000, u64::from(self.max_delay_s) * 1_000);
        let backoffs = self.backoff_retries();
        let first_backoff = self.no_delay_retries + self.min_delay_retries;
        match retry {
            retry if retry >= self.retries => None,
            retry if retry < self.no_delay_retries => Some(0),
            retry if retry < first_backoff => Some(min),
            retry if retry < first_backoff + backoffs => {
                let ratio = f64::from(self.max_delay_s) / f64::from(self.min_delay_s.max(1));
                let share = self.backoff.share(retry - first_backoff, backoffs - 1, ratio);
                Some(min + ((max - min) as f64 * share).round() as u64)
            }
            _ => Some(max),
        }
    }

    fn backoff_retries(&self) -> u32 {
        self.retries - self.no_delay_retries - self.min_delay_retries - self.max_delay_retries
    }

    fn total_ms(&self) -> u64 {
        (0..self.retries).filter_map(|retry| self.delay_ms(retry)).sum()
    }

    fn to_json(self) -> Json {
        json!({
            "minDelayTarget": self.min_delay_s,
            "maxDelayTarget": self.max_delay_s,
            "numRetries": self.retries,
            "numMaxDelayRetries": self.max_delay_retries,
            "numNoDelayRetries": self.no_delay_retries,
            "numMinDelayRetries": self.min_delay_retries,
            "backoffFunction": self.backoff.word(),
        })
    }

    fn parse(given: &Map<String, Json>, path: &str) -> Result<Self, String> {
        let number = |name: &str, default: u32, max: u64| match given.get(name) {
            None | Some(Json::Null) => Ok(default),
            Some(value) => match value.as_u64() {
                Some(number) if number <= max => Ok(u32::try_from(number).unwrap_or(u32::MAX)),
                Some(_) => Err(format!("{path}.{name} must be less than or equal to {max}")),
                None => Err(format!("{path}.{name} must be a number that is not negative")),
            },
        };
        const KNOWN: [&str; 7] = [
            "minDelayTarget",
            "maxDelayTarget",
            "numRetries",
            "numMaxDelayRetries",
            "numNoDelayRetries",
            "numMinDelayRetries",
            "backoffFunction",
        ];
        known(given, &KNOWN, path)?;
        for needed in ["minDelayTarget", "maxDelayTarget", "numRetries"] {
            if !given.contains_key(needed) {
                return Err(format!("{path}.{needed} must be specified"));
            }
        }
        let policy = Self {
            min_delay_s: number("minDelayTarget", 20, DELAY_S_MAX)?,
            max_delay_s: number("maxDelayTarget", 20, DELAY_S_MAX)?,
            retries: number("numRetries", 3, RETRIES_MAX)?,
            no_delay_retries: number("numNoDelayRetries", 0, RETRIES_MAX)?,
            min_delay_retries: number("numMinDelayRetries", 0, RETRIES_MAX)?,
            max_delay_retries: number("numMaxDelayRetries", 0, RETRIES_MAX)?,
            backoff: backoff(given.get("backoffFunction"), path)?,
        };
        policy.check(path).map(|()| policy)
    }

    fn check(&self, path: &str) -> Result<(), String> {
        let phases = self.no_delay_retries + self.min_delay_retries + self.max_delay_retries;
        if self.min_delay_s < 1 {
            return Err(format!("{path}.minDelayTarget must be greater than or equal to 1"));
        }
        if self.max_delay_s < self.min_delay_s {
            return Err(format!("{path}.maxDelayTarget must be greater than or equal to minDelayTarget"));
        }
        if phases > self.retries {
            return Err(format!(
                "{path}.numRetries must be greater than or equal to total of numMinDelayRetries, numNoDelayRetries and \
                 numMaxDelayRetries"
            ));
        }
        if self.total_ms() > DELAY_S_MAX * 1_000 {
            return Err(format!("{path}: the delays of all retries together must not exceed {DELAY_S_MAX} seconds"));
        }
        Ok(())
    }
}

fn backoff(given: Option<&Json>, path: &str) -> Result<Backoff, String> {
    let Some(given) = given.filter(|given| !given.is_null()) else { return Ok(Backoff::default()) };
    Backoff::ALL
        .into_iter()
        .find(|backoff| given.as_str() == Some(backoff.word()))
        .ok_or_else(|| format!("{path}.backoffFunction must be one of: linear, arithmetic, geometric, exponential"))
}

fn known(given: &Map<String, Json>, names: &[&str], path: &str) -> Result<(), String> {
    match given.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => Err(format!("Unexpected JSON member: {path}{}{name}", if path.is_empty() { "" } else { "." })),
        None => Ok(()),
    }
}

/// What holds for a subscription, or as the default of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryPolicy {
    /// When it is sent again.
    pub retries: RetryPolicy,
    /// At most so many messages in a second.
    pub receives_per_second_max: Option<u32>,
    /// The Content-Type of requests.
    pub content_type: String,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        let content_type = CONTENT_TYPE.to_owned();
        Self { retries: RetryPolicy::HTTP, receives_per_second_max: None, content_type }
    }
}

impl DeliveryPolicy {
    /// What holds for a subscription: its own policy over that of its topic, unless the topic says that its own goes first.
    pub(crate) fn effective(own: Option<&str>, of_topic: Option<&str>) -> Self {
        // They were read before they were kept.
        let of_topic = of_topic.and_then(|text| TopicPolicy::parse(text).ok()).unwrap_or_default();
        match own {
            Some(own) if !of_topic.is_final => {
                SubscriptionPolicy::parse(own).map(|own| own.over(&of_topic.policy)).unwrap_or(of_topic.policy)
            }
            _ => of_topic.policy,
        }
    }

    /// EffectiveDeliveryPolicy of a subscription.
    pub(crate) fn of_subscription(&self) -> String {
        let throttle = self.receives_per_second_max.map(|max| json!({ "maxReceivesPerSecond": max }));
        json!({
            "healthyRetryPolicy": self.retries.to_json(),
            "sicklyRetryPolicy": null,
            "throttlePolicy": throttle,
            "requestPolicy": { "headerContentType": self.content_type },
            "guaranteed": false,
        })
        .to_string()
    }
}

/// DeliveryPolicy of a subscription, as it was given.
#[derive(Debug, Default)]
pub(crate) struct SubscriptionPolicy {
    retries: Option<RetryPolicy>,
    receives_per_second_max: Option<u32>,
    content_type: Option<String>,
}

impl SubscriptionPolicy {
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let given = object(text)?;
        known(
            &given,
            &["healthyRetryPolicy", "sicklyRetryPolicy", "throttlePolicy", "requestPolicy", "guaranteed"],
            "",
        )?;
        Self::read(&given, ["healthyRetryPolicy", "throttlePolicy", "requestPolicy"], "")
    }

    fn read(given: &Map<String, Json>, names: [&str; 3], path: &str) -> Result<Self, String> {
        let [retries, throttle, request] = names;
        let part = |name: &str| match given.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Object(part)) => Ok(Some((part, format!("{path}{name}")))),
            Some(_) => Err(format!("{path}{name} must be a JSON object")),
        };
        Ok(Self {
            retries: part(retries)?.map(|(part, path)| RetryPolicy::parse(part, &path)).transpose()?,
            receives_per_second_max: match part(throttle)? {
                Some((part, path)) => receives_max(part, &path)?,
                None => None,
            },
            content_type: match part(request)? {
                Some((part, path)) => content_type(part, &path)?,
                None => None,
            },
        })
    }

    fn over(self, of_topic: &DeliveryPolicy) -> DeliveryPolicy {
        DeliveryPolicy {
            retries: self.retries.unwrap_or(of_topic.retries),
            receives_per_second_max: self.receives_per_second_max.or(of_topic.receives_per_second_max),
            content_type: self.content_type.unwrap_or_else(|| of_topic.content_type.clone()),
        }
    }
}

fn receives_max(given: &Map<String, Json>, path: &str) -> Result<Option<u32>, String> {
    known(given, &["maxReceivesPerSecond"], path)?;
    match given.get("maxReceivesPerSecond") {
        None | Some(Json::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(0) | None => Err(format!("{path}.maxReceivesPerSecond must be greater than or equal to 1")),
            Some(max) => Ok(Some(u32::try_from(max).unwrap_or(u32::MAX))),
        },
    }
}

fn content_type(given: &Map<String, Json>, path: &str) -> Result<Option<String>, String> {
    known(given, &["headerContentType"], path)?;
    let Some(value) = given.get("headerContentType").filter(|value| !value.is_null()) else { return Ok(None) };
    let text = value.as_str().unwrap_or_default();
    let kind = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_known = CONTENT_TYPES.contains(&kind.as_str()) || RAW_CONTENT_TYPES.contains(&kind.as_str());
    let legal = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if is_known && legal {
        return Ok(Some(text.to_owned()));
    }
    Err(format!("{path}.headerContentType: {value} is not supported"))
}

/// DeliveryPolicy of a topic: `{"http": {…}}`.
#[derive(Debug, Default)]
pub(crate) struct TopicPolicy {
    policy: DeliveryPolicy,
    /// Subscriptions have no say.
    is_final: bool,
}

impl TopicPolicy {
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let given = object(text)?;
        known(&given, &["http", "sqs", "lambda", "firehose", "application", "sms", "email"], "")?;
        let Some(Json::Object(http)) = given.get("http") else { return Ok(Self::default()) };
        const KNOWN: [&str; 5] = [
            "defaultHealthyRetryPolicy",
            "defaultSicklyRetryPolicy",
            "disableSubscriptionOverrides",
            "defaultThrottlePolicy",
            "defaultRequestPolicy",
        ];
        known(http, &KNOWN, "http")?;
        let names = ["defaultHealthyRetryPolicy", "defaultThrottlePolicy", "defaultRequestPolicy"];
        let policy = SubscriptionPolicy::read(http, names, "http.")?.over(&DeliveryPolicy::default());
        let is_final = http.get("disableSubscriptionOverrides").and_then(Json::as_bool).unwrap_or(false);
        Ok(Self { policy, is_final })
    }

    /// EffectiveDeliveryPolicy of a topic with that policy.
    pub(crate) fn effective(text: Option<&str>) -> String {
        let Self { policy, is_final } = text.and_then(|text| Self::parse(text).ok()).unwrap_or_default();
        let mut http = json!({
            "defaultHealthyRetryPolicy": policy.retries.to_json(),
            "disableSubscriptionOverrides": is_final,
        });
        if let Some(max) = policy.receives_per_second_max {
            http["defaultThrottlePolicy"] = json!({ "maxReceivesPerSecond": max });
        }
        http["defaultRequestPolicy"] = json!({ "headerContentType": policy.content_type });
        json!({ "http": http }).to_string()
    }
}

fn object(text: &str) -> Result<Map<String, Json>, String> {
    match json_text::parse(text) {
        Some(Json::Object(given)) => Ok(given),
        _ => Err("failed to parse JSON".to_owned()),
    }
}
