// The AWS SDK for Go, which checks MD5 sums: queues, messages, batches, long polls, FIFO, pages, typed errors, and topics.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
)

var (
	background = context.Background()
	client     *sqs.Client
	topics     *sns.Client
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Panic(err)
	}
	return value
}

func expect(holds bool, values ...any) {
	if !holds {
		log.Panic(values...)
	}
}

// fails checks that the SDK knows the error as one of that type.
func fails[E error](_ any, err error) {
	var expected E
	if !errors.As(err, &expected) {
		log.Panicf("%T was expected: %v", expected, err)
	}
}

func queue(name string, attributes map[string]string) *string {
	return must(client.CreateQueue(background, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})).QueueUrl
}

func receive(url *string) []types.Message {
	return must(client.ReceiveMessage(background, &sqs.ReceiveMessageInput{
		QueueUrl: url, WaitTimeSeconds: 5, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"},
	})).Messages
}

func bodies(messages []types.Message) (all []string) {
	for _, message := range messages {
		all = append(all, *message.Body)
	}
	return all
}

func send(url *string, body string) {
	must(client.SendMessage(background, &sqs.SendMessageInput{QueueUrl: url, MessageBody: &body}))
}

func remove(url *string, message types.Message) {
	must(client.DeleteMessage(background, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: message.ReceiptHandle}))
}

func attributes(url *string) {
	given := map[string]types.MessageAttributeValue{
		"text":   {DataType: aws.String("String"), StringValue: aws.String("grüße <&>")},
		"number": {DataType: aws.String("Number"), StringValue: aws.String("1.50")},
		"bytes":  {DataType: aws.String("Binary.raw"), BinaryValue: []byte{0, 255, 10}},
	}
	sent := must(client.SendMessage(background, &sqs.SendMessageInput{
		QueueUrl: url, MessageBody: aws.String("hello ü"), MessageAttributes: given,
	}))
	message := receive(url)[0]
	expect(*message.Body == "hello ü" && *message.MessageId == *sent.MessageId, message)
	expect(*message.MD5OfMessageAttributes == *sent.MD5OfMessageAttributes, message)
	for name, value := range given {
		got := message.MessageAttributes[name]
		expect(*got.DataType == *value.DataType && bytes.Equal(got.BinaryValue, value.BinaryValue), name, got)
		expect(aws.ToString(got.StringValue) == aws.ToString(value.StringValue), name, got)
	}
	expect(message.Attributes["ApproximateReceiveCount"] == "1", message.Attributes)
	remove(url, message)
}

func batches(url *string) {
	var entries []types.SendMessageBatchRequestEntry
	for n := range 10 {
		entries = append(entries, types.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(n)), MessageBody: aws.String(fmt.Sprint("m", n))})
	}
	sent := must(client.SendMessageBatch(background, &sqs.SendMessageBatchInput{QueueUrl: url, Entries: entries}))
	expect(len(sent.Successful) == 10 && len(sent.Failed) == 0, sent)
	messages := receive(url)
	expect(len(messages) == 10 && bodies(messages)[9] == "m9", messages)
	var longer []types.ChangeMessageVisibilityBatchRequestEntry
	handles := []types.DeleteMessageBatchRequestEntry{{Id: aws.String("wrong"), ReceiptHandle: aws.String("nonsense")}}
	for n, message := range messages {
		id := aws.String(fmt.Sprint(n))
		longer = append(longer, types.ChangeMessageVisibilityBatchRequestEntry{Id: id, ReceiptHandle: message.ReceiptHandle, VisibilityTimeout: 60})
		handles = append(handles, types.DeleteMessageBatchRequestEntry{Id: id, ReceiptHandle: message.ReceiptHandle})
	}
	changed := must(client.ChangeMessageVisibilityBatch(background, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: url, Entries: longer}))
	expect(len(changed.Successful) == 10, changed)
	deleted := must(client.DeleteMessageBatch(background, &sqs.DeleteMessageBatchInput{QueueUrl: url, Entries: handles[:10]}))
	expect(len(deleted.Successful) == 9 && *deleted.Failed[0].Code == "ReceiptHandleIsInvalid", deleted)
	remove(url, messages[9])
}

func waiting(url *string) {
	begun := time.Now()
	time.AfterFunc(300*time.Millisecond, func() { send(url, "late") })
	message := receive(url)[0]
	passed := time.Since(begun)
	expect(passed > 250*time.Millisecond && passed < 4*time.Second, passed)
	must(client.ChangeMessageVisibility(background, &sqs.ChangeMessageVisibilityInput{QueueUrl: url, ReceiptHandle: message.ReceiptHandle}))
	again := receive(url)[0]
	expect(again.Attributes["ApproximateReceiveCount"] == "2", again.Attributes)
	remove(url, again)
	// Who gives up a long poll takes no message away.
	impatient, cancel := context.WithTimeout(background, 300*time.Millisecond)
	defer cancel()
	_, err := client.ReceiveMessage(impatient, &sqs.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: 20})
	expect(errors.Is(err, context.DeadlineExceeded), err)
	send(url, "still here")
	still := receive(url)
	expect(slices.Equal(bodies(still), []string{"still here"}), still)
	remove(url, still[0])
}

func fifo(*string) {
	url := queue("go.fifo", map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true"})
	for _, body := range []string{"a1", "a1", "a2", "b1"} {
		sent := must(client.SendMessage(background, &sqs.SendMessageInput{QueueUrl: url, MessageBody: &body, MessageGroupId: aws.String(body[:1])}))
		expect(len(*sent.SequenceNumber) == 20, *sent.SequenceNumber)
	}
	messages := receive(url)
	expect(slices.Equal(bodies(messages), []string{"a1", "a2", "b1"}), messages)
	must(client.DeleteQueue(background, &sqs.DeleteQueueInput{QueueUrl: url}))
}

func pages(*string) {
	for n := range 5 {
		queue(fmt.Sprint("go-page-", n), nil)
	}
	var sizes []int
	input := &sqs.ListQueuesInput{QueueNamePrefix: aws.String("go-page-"), MaxResults: aws.Int32(2)}
	for paginator := sqs.NewListQueuesPaginator(client, input); paginator.HasMorePages(); {
		sizes = append(sizes, len(must(paginator.NextPage(background)).QueueUrls))
	}
	expect(slices.Equal(sizes, []int{2, 2, 1}), sizes)
}

func typedErrors(url *string) {
	missing := aws.String(*url + "-not")
	fails[*types.QueueDoesNotExist](client.GetQueueUrl(background, &sqs.GetQueueUrlInput{QueueName: aws.String("nowhere")}))
	fails[*types.QueueDoesNotExist](client.SendMessage(background, &sqs.SendMessageInput{QueueUrl: missing, MessageBody: aws.String("m")}))
	fails[*types.InvalidMessageContents](client.SendMessage(background, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("\x01")}))
	fails[*types.EmptyBatchRequest](client.SendMessageBatch(background, &sqs.SendMessageBatchInput{QueueUrl: url, Entries: []types.SendMessageBatchRequestEntry{}}))
	fails[*types.ReceiptHandleIsInvalid](client.DeleteMessage(background, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: aws.String("nonsense")}))
	fails[*types.QueueNameExists](client.CreateQueue(background, &sqs.CreateQueueInput{QueueName: aws.String("go"), Attributes: map[string]string{"DelaySeconds": "7"}}))
	_, err := client.CreateQueue(background, &sqs.CreateQueueInput{QueueName: aws.String("a.b")})
	var refused smithy.APIError
	expect(errors.As(err, &refused) && refused.ErrorCode() == "InvalidParameterValue", err)
}

func arn(url *string) *string {
	names := []types.QueueAttributeName{types.QueueAttributeNameQueueArn}
	got := must(client.GetQueueAttributes(background, &sqs.GetQueueAttributesInput{QueueUrl: url, AttributeNames: names}))
	return aws.String(got.Attributes["QueueArn"])
}

func publish(topic *string, message, kind string) *string {
	attributes := map[string]snstypes.MessageAttributeValue{"kind": {DataType: aws.String("String"), StringValue: &kind}}
	return must(topics.Publish(background, &sns.PublishInput{TopicArn: topic, Message: &message, MessageAttributes: attributes})).MessageId
}

func news(url *string) {
	topic := must(topics.CreateTopic(background, &sns.CreateTopicInput{Name: aws.String("go-topic")})).TopicArn
	raw := queue("go-raw", nil)
	subscribe := func(url *string, attributes map[string]string) *string {
		return must(topics.Subscribe(background, &sns.SubscribeInput{
			TopicArn: topic, Protocol: aws.String("sqs"), Endpoint: arn(url), Attributes: attributes, ReturnSubscriptionArn: true,
		})).SubscriptionArn
	}
	subscription := subscribe(url, nil)
	subscribe(raw, map[string]string{"RawMessageDelivery": "true", "FilterPolicy": `{"kind": ["good"]}`})
	id := publish(topic, "bad news", "bad")
	publish(topic, "good news", "good")
	messages := receive(raw)
	expect(slices.Equal(bodies(messages), []string{"good news"}), messages)
	expect(*messages[0].MessageAttributes["kind"].StringValue == "good", messages[0])
	var envelope struct{ Message, MessageId, TopicArn string }
	expect(json.Unmarshal([]byte(*receive(url)[0].Body), &envelope) == nil)
	expect(envelope.Message == "bad news" && envelope.MessageId == *id && envelope.TopicArn == *topic, envelope)
	found := 0
	for paginator := sns.NewListSubscriptionsByTopicPaginator(topics, &sns.ListSubscriptionsByTopicInput{TopicArn: topic}); paginator.HasMorePages(); {
		found += len(must(paginator.NextPage(background)).Subscriptions)
	}
	expect(found == 2, found)
	must(topics.Unsubscribe(background, &sns.UnsubscribeInput{SubscriptionArn: subscription}))
	fails[*snstypes.NotFoundException](topics.Publish(background, &sns.PublishInput{TopicArn: aws.String(*topic + "-not"), Message: aws.String("m")}))
	must(topics.DeleteTopic(background, &sns.DeleteTopicInput{TopicArn: topic}))
}

func main() {
	settings := must(config.LoadDefaultConfig(background))
	client, topics = sqs.NewFromConfig(settings), sns.NewFromConfig(settings)
	url := queue("go", map[string]string{"VisibilityTimeout": "60"})
	for _, check := range []func(*string){attributes, batches, waiting, fifo, pages, typedErrors, news} {
		check(url)
	}
	must(client.PurgeQueue(background, &sqs.PurgeQueueInput{QueueUrl: url}))
	must(client.DeleteQueue(background, &sqs.DeleteQueueInput{QueueUrl: url}))
	fmt.Println("good")
}
