//! Error codes and texts, compared with what AWS was recorded to say (aws-error-catalogue.tsv).

use crossdock_aws::Response;

use crate::core::{Core, form, json};

const URL: &str = r#""QueueUrl":"http://localhost:9324/000000000000/q""#;

fn text(response: &Response) -> String {
    String::from_utf8(response.body.to_vec()).expect("UTF-8")
}

/// Status, code and text of a JSON error.
fn json_error(action: &str, body: &str) -> (u16, String, String) {
    let response = Core::default().answer(&json(action, body));
    let code = response.headers.iter().find(|(name, _)| *name == "x-amzn-query-error").expect("a query error");
    let body: serde_json::Value = serde_json::from_slice(&response.body).expect("JSON");
    assert!(body["__type"].as_str().expect("a type").contains('#'));
    let code = code.1.to_str().expect("text").strip_suffix(";Sender").expect("the sender's fault").to_owned();
    (response.status, code, body["message"].as_str().expect("a text").to_owned())
}

#[test]
fn sqs_errors_are_aws_to_the_letter() {
    let eleven: Vec<String> = (0..20).map(|id| format!(r#"{{"Id":"{id}","MessageBody":"m"}}"#)).collect();
    let long = "a".repeat(129);
    for (action, body, code, expected) in [
        (
            "SendMessage",
            format!("{{{URL}}}"),
            "MissingParameter",
            "The request must contain the parameter MessageBody.",
        ),
        (
            "SendMessage",
            r#"{"QueueUrl":"http://x/000000000000/none","MessageBody":"m"}"#.to_owned(),
            "AWS.SimpleQueueService.NonExistentQueue",
            "The specified queue does not exist.",
        ),
        (
            "SendMessage",
            format!(r#"{{{URL},"MessageBody":"{}"}}"#, "m".repeat(1_048_577)),
            "InvalidParameterValue",
            "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.",
        ),
        (
            "SendMessage",
            format!(
                r#"{{{URL},"MessageBody":"m","MessageAttributes":{{"ErrorDetails":{{"DataType":"String","StringValue":""}}}}}}"#
            ),
            "InvalidParameterValue",
            "Message (user) attribute 'ErrorDetails' must contain a non-empty value of type 'String'.",
        ),
        (
            "SendMessage",
            format!(r#"{{{URL},"MessageBody":"m","MessageGroupId":"group 123"}}"#),
            "InvalidParameterValue",
            "Value group 123 for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include \
             alphanumeric and punctuation characters. 1 to 128 in length.",
        ),
        (
            "SendMessage",
            format!(r#"{{{URL},"MessageBody":"m","MessageGroupId":"{long}"}}"#),
            "InvalidParameterValue",
            &format!(
                "Value {long} for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include \
                 alphanumeric and punctuation characters. 1 to 128 in length."
            ),
        ),
        (
            "SendMessageBatch",
            format!(r#"{{{URL},"Entries":[{}]}}"#, eleven.join(",")),
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            "Maximum number of entries per request are 10. You have sent 20.",
        ),
        (
            "SendMessageBatch",
            format!(r#"{{{URL},"Entries":[{{"Id":"a.b","MessageBody":"m"}}]}}"#),
            "AWS.SimpleQueueService.InvalidBatchEntryId",
            "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 \
             letters long.",
        ),
        (
            "ReceiveMessage",
            format!(r#"{{{URL},"MaxNumberOfMessages":11}}"#),
            "InvalidParameterValue",
            "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.",
        ),
        (
            "ReceiveMessage",
            format!(r#"{{{URL},"WaitTimeSeconds":-1}}"#),
            "InvalidParameterValue",
            "Value -1 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.",
        ),
        (
            "CreateQueue",
            r#"{"QueueName":"q","Attributes":{"DelaySeconds":"6"}}"#.to_owned(),
            "QueueAlreadyExists",
            "A queue already exists with the same name and a different value for attribute DelaySeconds",
        ),
        (
            "CreateQueue",
            r#"{"QueueName":"n","Attributes":{"FifoQueue":"false"}}"#.to_owned(),
            "InvalidAttributeName",
            "Unknown Attribute FifoQueue.",
        ),
        (
            "CreateQueue",
            r#"{"QueueName":"n","Attributes":{"DeduplicationScope":"queue"}}"#.to_owned(),
            "InvalidAttributeName",
            "You can specify the DeduplicationScope only when FifoQueue is set to true.",
        ),
        ("Nonsense", "{}".to_owned(), "InvalidAction", "The action Nonsense is not valid for this endpoint."),
    ] {
        assert_eq!(json_error(action, &body), (400, code.to_owned(), expected.to_owned()), "{action}");
    }
}

#[test]
fn fifo_errors_are_aws_to_the_letter() {
    let url = r#""QueueUrl":"http://localhost:9324/000000000000/q.fifo""#;
    let name = "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo \
                suffix and be 1 to 80 in length";
    let arn = "arn:aws:sqs:us-east-1:000000000000:q";
    for (action, body, code, expected) in [
        (
            "CreateQueue",
            r#"{"QueueName":"n","Attributes":{"FifoQueue":"true"}}"#.to_owned(),
            "InvalidParameterValue",
            name,
        ),
        (
            "CreateQueue",
            r#"{"QueueName":"n.fifo"}"#.to_owned(),
            "InvalidParameterValue",
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
        ),
        (
            "CreateQueue",
            r#"{"QueueName":"q.fifo","Attributes":{"FifoQueue":"true","ContentBasedDeduplication":"true"}}"#.to_owned(),
            "QueueAlreadyExists",
            "A queue already exists with the same name and a different value for attribute ContentBasedDeduplication",
        ),
        (
            "SetQueueAttributes",
            format!(r#"{{{url},"Attributes":{{"FifoQueue":"false"}}}}"#),
            "InvalidAttributeValue",
            "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.",
        ),
        (
            "SetQueueAttributes",
            format!(
                r#"{{{url},"Attributes":{{"RedrivePolicy":"{{\"deadLetterTargetArn\":\"{arn}\",\"maxReceiveCount\":2}}"}}}}"#
            ),
            "InvalidParameterValue",
            &format!(
                r#"Value {{"deadLetterTargetArn":"{arn}","maxReceiveCount":2}} for parameter RedrivePolicy is invalid. Reason: Dead-letter queue must be same type of queue as the source."#
            ),
        ),
        (
            "SendMessage",
            format!(r#"{{{url},"MessageBody":"m","MessageDeduplicationId":"d"}}"#),
            "MissingParameter",
            "The request must contain the parameter MessageGroupId.",
        ),
        (
            "SendMessage",
            format!(r#"{{{url},"MessageBody":"m","MessageGroupId":"g"}}"#),
            "InvalidParameterValue",
            "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
        ),
        (
            "SendMessage",
            format!(r#"{{{url},"MessageBody":"m","MessageGroupId":"g","MessageDeduplicationId":"group 123"}}"#),
            "InvalidParameterValue",
            "Value group 123 for parameter MessageDeduplicationId is invalid. Reason: MessageDeduplicationId can only \
             include alphanumeric and punctuation characters. 1 to 128 in length.",
        ),
        (
            "SendMessage",
            format!(r#"{{{url},"MessageBody":"m","MessageGroupId":"g","DelaySeconds":1}}"#),
            "InvalidParameterValue",
            "Value 1 for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid for \
             this queue type.",
        ),
    ] {
        assert_eq!(json_error(action, &body), (400, code.to_owned(), expected.to_owned()), "{action} {body}");
    }
}

#[test]
fn a_query_error_has_its_own_text() {
    let request = form("/000000000000/none", "Action=SendMessage&Version=2012-11-05&MessageBody=m");
    let response = Core::default().answer(&request);
    let body = text(&response);
    let (start, _) = body.split_once("<RequestId>").expect("an id");
    assert_eq!(response.status, 400);
    assert_eq!(
        start,
        "<ErrorResponse xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\"><Error><Type>Sender</Type>\
         <Code>AWS.SimpleQueueService.NonExistentQueue</Code><Message>The specified queue does not exist for this wsdl \
         version.</Message><Detail></Detail></Error>"
    );
}

#[test]
fn sns_errors_are_aws_to_the_letter() {
    let topic = "TopicArn=arn:aws:sns:us-east-1:000000000000:t";
    let attribute = "MessageAttributes.entry.1.Name=attr1&MessageAttributes.entry.1.Value";
    let batch = "PublishBatchRequestEntries.member.1";
    for (query, status, code, expected) in [
        (
            "Action=GetTopicAttributes&TopicArn=a:b".to_owned(),
            400,
            "InvalidParameter",
            "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 2",
        ),
        (
            "Action=GetTopicAttributes&TopicArn=arn:aws:sns:us-east-1:000000000000:none".to_owned(),
            404,
            "NotFound",
            "Topic does not exist",
        ),
        (format!("Action=Publish&{topic}&Message="), 400, "InvalidParameter", "Invalid parameter: Empty message"),
        (
            format!("Action=Publish&{topic}&Message=m&{attribute}.StringValue=s"),
            400,
            "ValidationError",
            "1 validation error detected: Value null at &apos;messageAttributes.attr1.member.dataType&apos; failed to \
             satisfy constraint: Member must not be null",
        ),
        (
            format!("Action=PublishBatch&{topic}&{batch}.Id=a&{batch}.Message=m&{batch}.{attribute}.StringValue=s")
                .replace("&MessageAttributes", &format!("&{batch}.MessageAttributes")),
            400,
            "ValidationError",
            "1 validation error detected: Value null at \
             &apos;publishBatchRequestEntries.1.member.messageAttributes.attr1.member.dataType&apos; failed to satisfy \
             constraint: Member must not be null",
        ),
        (
            format!("Action=Publish&{topic}&Message=m&{attribute}.DataType=String&{attribute}.StringValue="),
            400,
            "ParameterValueInvalid",
            "The message attribute &apos;attr1&apos; must contain non-empty message attribute value for message attribute \
             type &apos;String&apos;.",
        ),
        (
            format!("Action=Publish&{topic}&Message=m&MessageAttributes.entry.1.Name=a%5Eb"),
            400,
            "ParameterValueInvalid",
            "Invalid non-alphanumeric character &apos;#x5E&apos; was found in the message attribute name. Can only include \
             alphanumeric characters, hyphens, underscores, or dots.",
        ),
        (
            format!("Action=PublishBatch&{topic}&{batch}.Id=message.id&{batch}.Message=m"),
            400,
            "InvalidBatchEntryId",
            "The Id of a batch entry in the batch request contains an impermissible character: message.id",
        ),
        (
            format!(
                "Action=Subscribe&{topic}&Protocol=sqs&Attributes.entry.1.key=RawMessageDelivery&Attributes.entry.1.value=wrongvalue&Endpoint=arn:aws:sqs:us-east-1:000000000000:q"
            ),
            400,
            "InvalidParameter",
            "Invalid parameter: Attributes Reason: RawMessageDelivery: Invalid value [wrongvalue]. Must be true or false.",
        ),
        (
            "Action=Unsubscribe&SubscriptionArn=a:b:c:d:e".to_owned(),
            400,
            "InvalidParameter",
            "Invalid parameter: SubscriptionArn Reason: An ARN must have at least 6 elements, not 5",
        ),
    ] {
        let response = Core::default().answer(&form("/", &format!("{query}&Version=2010-03-31")));
        let body = text(&response);
        let expected = format!("<Code>{code}</Code><Message>{expected}</Message>");
        assert!(response.status == status && body.contains(&expected), "{query}\n{body}\n{expected}");
    }
}

#[test]
fn publishers_hear_that_memory_is_short() {
    let mut core = Core { blocked: true, ..Core::default() };
    let response = core.answer(&json("SendMessage", &format!(r#"{{{URL},"MessageBody":"m"}}"#)));
    assert_eq!((response.status, core.published.len()), (503, 0));
    assert_eq!(core.answer(&json("ReceiveMessage", &format!("{{{URL}}}"))).status, 200);
}

#[test]
fn a_standard_queue_has_120_000_messages_in_flight_and_not_more() {
    let status = |in_flight: u64, url: &str| {
        Core { in_flight: in_flight - 2, ..Core::default() }.answer(&json("ReceiveMessage", url)).status
    };
    let standard = format!("{{{URL}}}");
    assert_eq!([119_999, 120_000, 120_001].map(|count| status(count, &standard)), [200, 403, 403]);
    // As AWS: a FIFO queue gives nothing more, and says so by that.
    assert_eq!(status(120_000, r#"{"QueueUrl":"http://localhost:9324/000000000000/q.fifo"}"#), 200);
}
