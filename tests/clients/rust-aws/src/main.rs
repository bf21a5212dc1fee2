//! The AWS SDK for Rust: queues, messages with attributes, batches, long polls, FIFO, pages, typed errors, and a topic that feeds two queues.

use std::error::Error;
use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::operation::get_queue_url::GetQueueUrlError;
use aws_sdk_sqs::operation::send_message::SendMessageError;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message, MessageAttributeValue,
    MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn credentials() -> Credentials {
    Credentials::new(variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"), None, None, "environment")
}

/// Both SDKs have a configuration type of their own with the same builder.
macro_rules! client {
    ($sdk:ident) => {
        $sdk::Client::from_conf(
            $sdk::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new(variable("AWS_REGION")))
                .endpoint_url(variable("AWS_ENDPOINT_URL"))
                .credentials_provider(credentials())
                .http_client(aws_smithy_http_client::Builder::new().build_http())
                .build(),
        )
    };
}

#[tokio::main]
async fn main() -> Outcome {
    let sqs = client!(aws_sdk_sqs);
    let url = sqs.create_queue().queue_name("rust").attributes(QueueAttributeName::VisibilityTimeout, "60");
    let url = url.send().await?.queue_url.ok_or("no URL")?;
    attributes(&sqs, &url).await?;
    batches(&sqs, &url).await?;
    waiting(&sqs, &url).await?;
    fifo(&sqs).await?;
    pages(&sqs).await?;
    errors(&sqs, &url).await?;
    topic(&sqs, &client!(aws_sdk_sns), &url).await?;
    sqs.purge_queue().queue_url(&url).send().await?;
    sqs.delete_queue().queue_url(&url).send().await?;
    println!("good");
    Ok(())
}

async fn receive(sqs: &Client, url: &str) -> Outcome<Vec<Message>> {
    let request = sqs.receive_message().queue_url(url).wait_time_seconds(5).max_number_of_messages(10);
    let request =
        request.message_attribute_names("All").message_system_attribute_names(MessageSystemAttributeName::All);
    Ok(request.send().await?.messages.unwrap_or_default())
}

async fn delete(sqs: &Client, url: &str, message: &Message) -> Outcome {
    sqs.delete_message().queue_url(url).set_receipt_handle(message.receipt_handle.clone()).send().await?;
    Ok(())
}

async fn attributes(sqs: &Client, url: &str) -> Outcome {
    let text = MessageAttributeValue::builder().data_type("String").string_value("grüße & more").build()?;
    let bytes = MessageAttributeValue::builder().data_type("Binary.raw").binary_value(Blob::new([0, 255])).build()?;
    let sent = sqs.send_message().queue_url(url).message_body("hello ü").message_attributes("text", text.clone());
    let sent = sent.message_attributes("bytes", bytes.clone()).send().await?;
    let message = receive(sqs, url).await?.pop().ok_or("nothing")?;
    assert_eq!(message.body(), Some("hello ü"));
    assert_eq!(message.message_id, sent.message_id);
    assert_eq!(message.md5_of_body, sent.md5_of_message_body);
    assert_eq!(message.md5_of_message_attributes, sent.md5_of_message_attributes);
    let received = message.message_attributes.as_ref().ok_or("no attributes")?;
    assert_eq!((received.get("text"), received.get("bytes")), (Some(&text), Some(&bytes)));
    let system = message.attributes.as_ref().ok_or("no system attributes")?;
    assert_eq!(system[&MessageSystemAttributeName::ApproximateReceiveCount], "1");
    delete(sqs, url, &message).await
}

async fn batches(sqs: &Client, url: &str) -> Outcome {
    let entry =
        |n: usize| SendMessageBatchRequestEntry::builder().id(n.to_string()).message_body(format!("m{n}")).build();
    let entries = (0..10).map(entry).collect::<Result<Vec<_>, _>>()?;
    let sent = sqs.send_message_batch().queue_url(url).set_entries(Some(entries)).send().await?;
    assert_eq!((sent.successful.len(), sent.failed.len()), (10, 0));
    let messages = receive(sqs, url).await?;
    assert_eq!(messages.len(), 10);
    let change = |(n, message): (usize, &Message)| {
        let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(n.to_string()).visibility_timeout(90);
        entry.set_receipt_handle(message.receipt_handle.clone()).build()
    };
    let changes = messages.iter().enumerate().map(change).collect::<Result<Vec<_>, _>>()?;
    let changed = sqs.change_message_visibility_batch().queue_url(url).set_entries(Some(changes)).send().await?;
    assert_eq!(changed.successful.len(), 10);
    let entry = |(n, handle): (usize, &str)| {
        DeleteMessageBatchRequestEntry::builder().id(n.to_string()).receipt_handle(handle).build()
    };
    let mut handles: Vec<&str> = messages.iter().filter_map(|message| message.receipt_handle()).collect();
    handles[9] = "nonsense";
    let entries = handles.into_iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>()?;
    let deleted = sqs.delete_message_batch().queue_url(url).set_entries(Some(entries)).send().await?;
    assert_eq!((deleted.successful.len(), deleted.failed[0].code()), (9, "ReceiptHandleIsInvalid"));
    delete(sqs, url, &messages[9]).await
}

async fn waiting(sqs: &Client, url: &str) -> Outcome {
    let begun = Instant::now();
    let late = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        sqs.send_message().queue_url(url).message_body("late").send().await
    };
    let (messages, sent) = tokio::join!(receive(sqs, url), late);
    sent?;
    let message = messages?.pop().ok_or("nothing")?;
    assert!((Duration::from_millis(250)..Duration::from_secs(4)).contains(&begun.elapsed()));
    let change = sqs.change_message_visibility().queue_url(url).set_receipt_handle(message.receipt_handle.clone());
    change.visibility_timeout(0).send().await?;
    let again = receive(sqs, url).await?.pop().ok_or("nothing")?;
    let system = again.attributes.as_ref().ok_or("no system attributes")?;
    assert_eq!(system[&MessageSystemAttributeName::ApproximateReceiveCount], "2");
    delete(sqs, url, &again).await
}

async fn fifo(sqs: &Client) -> Outcome {
    let url = sqs.create_queue().queue_name("rust.fifo").attributes(QueueAttributeName::FifoQueue, "true");
    let url = url.send().await?.queue_url.ok_or("no URL")?;
    for (body, id) in [("one", "1"), ("again", "1"), ("two", "2")] {
        let send =
            sqs.send_message().queue_url(&url).message_body(body).message_group_id("g").message_deduplication_id(id);
        assert_eq!(send.send().await?.sequence_number.ok_or("no sequence number")?.len(), 20);
    }
    let messages = receive(sqs, &url).await?;
    assert_eq!(messages.iter().filter_map(|message| message.body()).collect::<Vec<_>>(), ["one", "two"]);
    sqs.delete_queue().queue_url(url).send().await?;
    Ok(())
}

async fn pages(sqs: &Client) -> Outcome {
    for n in 0..5 {
        sqs.create_queue().queue_name(format!("rust-page-{n}")).send().await?;
    }
    let mut pages = sqs.list_queues().queue_name_prefix("rust-page-").into_paginator().page_size(2).send();
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await {
        sizes.push(page?.queue_urls().len());
    }
    assert_eq!(sizes, [2, 2, 1]);
    Ok(())
}

async fn errors(sqs: &Client, url: &str) -> Outcome {
    let error = sqs.get_queue_url().queue_name("nowhere").send().await.expect_err("no such queue");
    assert!(matches!(error.into_service_error(), GetQueueUrlError::QueueDoesNotExist(_)));
    let error = sqs.send_message().queue_url(format!("{url}-not")).message_body("m").send().await.expect_err("none");
    assert!(matches!(error.into_service_error(), SendMessageError::QueueDoesNotExist(_)));
    let error = sqs.send_message().queue_url(url).message_body("\u{1}").send().await.expect_err("no such letter");
    assert!(matches!(error.into_service_error(), SendMessageError::InvalidMessageContents(_)));
    let error = sqs.send_message_batch().queue_url(url).set_entries(Some(Vec::new())).send().await.expect_err("empty");
    assert!(error.into_service_error().is_empty_batch_request());
    let handle = sqs.delete_message().queue_url(url).receipt_handle("nonsense").send().await.expect_err("no handle");
    assert!(handle.into_service_error().is_receipt_handle_is_invalid());
    Ok(())
}

async fn topic(sqs: &Client, sns: &aws_sdk_sns::Client, url: &str) -> Outcome {
    let topic = sns.create_topic().name("rust-topic").send().await?.topic_arn.ok_or("no ARN")?;
    let arn = sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn).send().await?;
    let arn = arn.attributes.ok_or("no attributes")?[&QueueAttributeName::QueueArn].clone();
    let subscribe = sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(arn).return_subscription_arn(true);
    let subscribe =
        subscribe.attributes("RawMessageDelivery", "true").attributes("FilterPolicy", r#"{"kind": ["good"]}"#);
    let subscription = subscribe.send().await?.subscription_arn.ok_or("no ARN")?;
    for kind in ["bad", "good"] {
        let value =
            aws_sdk_sns::types::MessageAttributeValue::builder().data_type("String").string_value(kind).build()?;
        sns.publish()
            .topic_arn(&topic)
            .message(format!("{kind} news"))
            .message_attributes("kind", value)
            .send()
            .await?;
    }
    let messages = receive(sqs, url).await?;
    assert_eq!(messages.iter().filter_map(|message| message.body()).collect::<Vec<_>>(), ["good news"]);
    sns.unsubscribe().subscription_arn(subscription).send().await?;
    let error = sns.publish().topic_arn(format!("{topic}-not")).message("m").send().await.expect_err("no topic");
    assert!(error.into_service_error().is_not_found_exception());
    sns.delete_topic().topic_arn(topic).send().await?;
    delete(sqs, url, &messages[0]).await
}
