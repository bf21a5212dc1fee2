//! Requests of SQS and SNS that make sense, from random bytes: names from small pools, so that requests concern each other.

use bytes::Bytes;
use crossdock_aws::{Head, Request, SNS_ACTIONS, SQS_ACTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::methods::Source;

const URLS: [&str; 4] = [
    "http://localhost:9324/000000000000/a",
    "http://localhost:9324/000000000000/b.fifo",
    "/queue/dead",
    "http://sqs.eu-west-1.localhost/111111111111/a%2Fb",
];
const TOPICS: [&str; 3] = ["t", "u.fifo", "nothing"];
/// What there is when the fuzzer begins.
const SCENE: [(&str, &str); 7] = [
    ("AmazonSQS.CreateQueue", r#"{"QueueName":"dead"}"#),
    ("AmazonSQS.CreateQueue", r#"{"QueueName":"a"}"#),
    ("AmazonSQS.CreateQueue", r#"{"QueueName":"b.fifo","Attributes":{"FifoQueue":"true"}}"#),
    ("", "Action=CreateTopic&Name=t"),
    ("", "Action=CreateTopic&Name=u.fifo&Attributes.entry.1.key=FifoTopic&Attributes.entry.1.value=true"),
    (
        "",
        "Action=Subscribe&TopicArn=arn:aws:sns:us-east-1:000000000000:t&Protocol=sqs&Endpoint=arn:aws:sqs:us-east-1:000000000000:a",
    ),
    (
        "",
        "Action=Subscribe&TopicArn=arn:aws:sns:us-east-1:000000000000:u.fifo&Protocol=sqs&Endpoint=arn:aws:sqs:us-east-1:000000000000:b.fifo",
    ),
];
/// Members of JSON requests. `$handle` is the last receipt handle that was seen.
const MEMBERS: [&str; 36] = [
    r#""QueueName":"a""#,
    r#""QueueName":"b.fifo""#,
    r#""QueueName":"dead""#,
    r#""MessageBody":"hello""#,
    r#""MessageBody":"\ud800""#,
    r#""MessageGroupId":"g""#,
    r#""MessageDeduplicationId":"d""#,
    r#""DelaySeconds":1"#,
    r#""MaxNumberOfMessages":10"#,
    r#""WaitTimeSeconds":1"#,
    r#""VisibilityTimeout":0"#,
    r#""VisibilityTimeout":43200"#,
    r#""ReceiveRequestAttemptId":"again""#,
    r#""ReceiptHandle":"$handle""#,
    r#""Entries":[{"Id":"1","MessageBody":"x","MessageGroupId":"g","MessageDeduplicationId":"e"},{"Id":"2","MessageBody":"y"}]"#,
    r#""Entries":[{"Id":"1","ReceiptHandle":"$handle","VisibilityTimeout":0}]"#,
    r#""Attributes":{"FifoQueue":"true","ContentBasedDeduplication":"true"}"#,
    r#""Attributes":{"RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:dead\",\"maxReceiveCount\":1}"}"#,
    r#""Attributes":{"VisibilityTimeout":"1","DelaySeconds":"1","MessageRetentionPeriod":"60"}"#,
    r#""Attributes":{"FifoQueue":"true","DeduplicationScope":"messageGroup","FifoThroughputLimit":"perMessageGroupId"}"#,
    r#""Attributes":{"RedriveAllowPolicy":"{\"redrivePermission\":\"denyAll\"}"}"#,
    r#""MessageAttributes":{"k":{"DataType":"String","StringValue":"v"}}"#,
    r#""MessageAttributes":{"n":{"DataType":"Number.int","StringValue":"1e3"},"b":{"DataType":"Binary","BinaryValue":"AAE="}}"#,
    r#""MessageSystemAttributes":{"AWSTraceHeader":{"DataType":"String","StringValue":"Root=1"}}"#,
    r#""AttributeNames":["All"]"#,
    r#""MessageAttributeNames":["k.*","All"]"#,
    r#""SourceArn":"arn:aws:sqs:us-east-1:000000000000:dead""#,
    r#""DestinationArn":"arn:aws:sqs:us-east-1:000000000000:a""#,
    r#""MaxNumberOfMessagesPerSecond":1"#,
    r#""TaskHandle":"$token""#,
    r#""NextToken":"$token""#,
    r#""MaxResults":1"#,
    r#""Tags":{"t":"u"}"#,
    r#""TagKeys":["t"]"#,
    r#""Label":"l","AWSAccountIds":["111111111111"],"Actions":["*"]"#,
    r#""QueueNamePrefix":"a""#,
];
/// Parameters of forms. `$subscription` is the ARN of the last subscription.
const PARAMETERS: [&str; 37] = [
    "Name=t",
    "Name=u.fifo",
    "ResourceArn=arn:aws:sns:us-east-1:000000000000:t",
    "Protocol=sqs&Endpoint=arn:aws:sqs:us-east-1:000000000000:a",
    "Protocol=sqs&Endpoint=arn:aws:sqs:us-east-1:000000000000:b.fifo",
    "Protocol=sqs&Endpoint=arn:aws:sqs:eu-west-1:111111111111:a",
    "Protocol=https&Endpoint=https://u:p@example.com/",
    "Protocol=sms&Endpoint=%2B15551234567",
    "ReturnSubscriptionArn=true",
    "Message=hello",
    "Message=%7B%22default%22:%22d%22,%22sqs%22:%22s%22%7D&MessageStructure=json",
    "Subject=s",
    "MessageGroupId=g&MessageDeduplicationId=d",
    "MessageAttributes.entry.1.Name=k&MessageAttributes.entry.1.Value.DataType=String&MessageAttributes.entry.1.Value.StringValue=v",
    "MessageAttributes.entry.1.Name=k&MessageAttributes.entry.1.Value.DataType=String.Array&MessageAttributes.entry.1.Value.StringValue=%5B1%2C%22v%22%5D",
    "PublishBatchRequestEntries.member.1.Id=1&PublishBatchRequestEntries.member.1.Message=x&PublishBatchRequestEntries.member.2.Id=2",
    "Attributes.entry.1.key=FifoTopic&Attributes.entry.1.value=true",
    "Attributes.entry.1.key=RawMessageDelivery&Attributes.entry.1.value=true",
    "Attributes.entry.2.key=FilterPolicy&Attributes.entry.2.value=%7B%22k%22:%5B%22v%22%5D%7D",
    "Attributes.entry.3.key=FilterPolicyScope&Attributes.entry.3.value=MessageBody",
    "Attributes.entry.4.key=ArchivePolicy&Attributes.entry.4.value=%7B%22MessageRetentionPeriod%22:%221%22%7D",
    "AttributeName=FilterPolicy&AttributeValue=%7B%22k%22:%5B%7B%22prefix%22:%22v%22%7D,%7B%22numeric%22:%5B%22%3E%22,0%5D%7D,null%5D%7D",
    "AttributeName=FilterPolicy&AttributeValue=%7B%22%24or%22:%5B%7B%22k%22:%5B%22v%22%5D%7D,%7B%22l%22:%5B%7B%22exists%22:false%7D%5D%7D%5D%7D",
    "AttributeName=FilterPolicyScope&AttributeValue=MessageBody",
    "AttributeName=ReplayPolicy&AttributeValue=%7B%22PointType%22:%22Timestamp%22,%22StartingPoint%22:%222026-01-01T00:00:00Z%22%7D",
    "AttributeName=RedrivePolicy&AttributeValue=%7B%22deadLetterTargetArn%22:%22arn:aws:sqs:us-east-1:000000000000:dead%22%7D",
    "AttributeName=DeliveryPolicy&AttributeValue=%7B%22healthyRetryPolicy%22:%7B%22numRetries%22:3%7D%7D",
    "AttributeName=Policy&AttributeValue=%7B%22Statement%22:%5B%7B%22Effect%22:%22Deny%22,%22Principal%22:%22*%22,%22Action%22:%22sns:*%22,%22Resource%22:%22*%22%7D%5D%7D",
    "AttributeName=ArchivePolicy&AttributeValue=%7B%7D",
    "Label=l&AWSAccountId.member.1=111111111111&ActionName.member.1=Publish",
    "Tags.member.1.Key=t&Tags.member.1.Value=u",
    "NextToken=$token",
    "Token=$token",
    "Platform=GCM&PlatformCredential=c",
    "PlatformApplicationArn=arn:aws:sns:us-east-1:000000000000:app/GCM/p",
    "PhoneNumber=%2B15551234567",
    "DataProtectionPolicy=%7B%22Name%22:%22p%22,%22Version%22:%222021-06-01%22,%22Statement%22:%5B%5D%7D",
];
/// What a caller makes up itself, in either form.
const OWN: [&str; 12] = [
    "MessageBody",
    "Message",
    "QueueUrl",
    "QueueName",
    "TopicArn",
    "Endpoint",
    "AttributeValue",
    "ReceiptHandle",
    "NextToken",
    "Token",
    "Policy",
    "DataProtectionPolicy",
];

/// What answers said that later requests say again.
#[derive(Default)]
pub struct Known {
    handle: String,
    subscription: String,
    token: String,
}

impl Known {
    /// Looks into an answer.
    pub fn learn(&mut self, answer: &[u8]) {
        let text = String::from_utf8_lossy(answer);
        let value = |name: &str| {
            let rest = text.split_once(name)?.1.trim_start_matches(['"', ':', '>']);
            rest.split(['"', '<']).next().map(str::to_owned)
        };
        let keep = |names: &[&str], kept: &mut String| {
            if let Some(found) = names.iter().find_map(|name| value(name)) {
                *kept = found;
            }
        };
        keep(&["ReceiptHandle"], &mut self.handle);
        keep(&["SubscriptionArn"], &mut self.subscription);
        keep(&["NextToken", "TaskHandle"], &mut self.token);
    }

    fn fill(&self, text: &str) -> String {
        text.replace("$handle", &self.handle)
            .replace("$subscription", &self.subscription)
            .replace("$token", &self.token)
    }
}

/// What makes the scene; each of these succeeds.
pub fn scene() -> impl Iterator<Item = Request> {
    SCENE.into_iter().map(|(target, body)| post(target, body.to_owned()))
}

/// One request.
pub fn request(source: &mut Source<'_>, known: &Known) -> Request {
    if source.byte().is_multiple_of(2) { json(source, known) } else { form(source, known) }
}

fn json(source: &mut Source<'_>, known: &Known) -> Request {
    let target = format!("AmazonSQS.{}", source.pick(&SQS_ACTIONS));
    let mut members = vec![format!("\"QueueUrl\":\"{}\"", source.pick(&URLS))];
    members.extend(some(source, &MEMBERS));
    let quoted = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
    members.extend(own(source).map(|(name, value)| format!("\"{name}\":\"{}\"", quoted(&value))));
    post(&target, known.fill(&format!("{{{}}}", members.join(","))))
}

fn form(source: &mut Source<'_>, known: &Known) -> Request {
    let (version, action) = match source.byte() % 8 {
        0 => ("2012-11-05", source.pick(&SQS_ACTIONS)),
        _ => ("2010-03-31", source.pick(&SNS_ACTIONS)),
    };
    let topic = format!("TopicArn=arn:aws:sns:us-east-1:000000000000:{}", source.pick(&TOPICS));
    let mut parameters = vec![format!("Action={action}&Version={version}"), topic];
    parameters.extend(source.byte().is_multiple_of(2).then(|| "SubscriptionArn=$subscription".to_owned()));
    parameters.extend(some(source, &PARAMETERS));
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    parameters.extend(own(source).map(|(name, value)| format!("{name}={}", encoded(&value))));
    post("", known.fill(&parameters.join("&")))
}

fn some(source: &mut Source<'_>, from: &[&str]) -> Vec<String> {
    (0..source.byte() % 6).map(|_| source.pick(from).to_owned()).collect()
}

/// Half of the requests say something that is in no pool.
fn own(source: &mut Source<'_>) -> Option<(&'static str, String)> {
    let count = usize::from(source.byte());
    if count < 128 {
        return None;
    }
    let name = source.pick(&OWN);
    Some((name, source.text(count - 128)))
}

/// JSON, or a form where there is no target.
fn post(target: &str, body: String) -> Request {
    let kind = if target.is_empty() { "application/x-www-form-urlencoded" } else { "application/x-amz-json-1.0" };
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("localhost:9324"));
    headers.insert("content-type", HeaderValue::from_static(kind));
    let target = HeaderValue::from_str(target).ok().filter(|target| !target.is_empty());
    headers.extend(target.map(|target| (HeaderName::from_static("x-amz-target"), target)));
    Request { head: Head { method: Method::POST, headers, ..Head::default() }, body: Bytes::from(body) }
}
