// AMQP 0-9-1 through amqp091-go: confirms, returns, prefetch, recovery of a closed channel, errors.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func expect(good bool, format string, arguments ...any) {
	if !good {
		panic(fmt.Sprintf(format, arguments...))
	}
}

func main() {
	ports := map[string]int{}
	check(json.Unmarshal([]byte(os.Getenv("CROSSDOCK_PORTS")), &ports))
	connection, err := amqp.Dial(fmt.Sprintf("amqp://guest:guest@127.0.0.1:%d/", ports["amqp"]))
	check(err)
	channel, err := connection.Channel()
	check(err)
	check(channel.Confirm(false))
	queue, err := channel.QueueDeclare("go", true, false, false, false, nil)
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	table := amqp.Table{"int": int32(7), "text": "x", "nested": amqp.Table{"list": []any{int64(1), true, nil}}}
	for n := range 200 {
		message := amqp.Publishing{DeliveryMode: amqp.Persistent, Headers: table, Body: []byte(fmt.Sprint(n)), MessageId: fmt.Sprint(n)}
		confirm, err := channel.PublishWithDeferredConfirmWithContext(ctx, "", queue.Name, true, false, message)
		check(err)
		acked, err := confirm.WaitContext(ctx)
		check(err)
		expect(acked, "message %d was not confirmed", n)
	}
	returns := channel.NotifyReturn(make(chan amqp.Return, 1))
	check(channel.PublishWithContext(ctx, "amq.direct", "nowhere", true, false, amqp.Publishing{Body: []byte("back")}))
	returned := <-returns
	expect(returned.ReplyCode == 312 && string(returned.Body) == "back", "returned %v", returned)

	check(channel.Qos(20, 0, false))
	deliveries, err := channel.Consume(queue.Name, "", false, false, false, false, nil)
	check(err)
	for n := range 200 {
		delivery := <-deliveries
		expect(string(delivery.Body) == fmt.Sprint(n), "%d is %s", n, delivery.Body)
		nested := delivery.Headers["nested"].(amqp.Table)["list"].([]any)
		expect(nested[0] == int64(1) && nested[1] == true && nested[2] == nil, "headers %v", delivery.Headers)
		if n%20 == 19 {
			check(delivery.Ack(true))
		}
	}
	other, err := connection.Channel()
	check(err)
	closed := other.NotifyClose(make(chan *amqp.Error, 1))
	_, err = other.QueueDeclarePassive("absent", false, false, false, false, nil)
	expect(err != nil, "a queue that is absent")
	reason := <-closed
	expect(reason.Code == 404 && reason.Reason == "NOT_FOUND - no queue 'absent' in vhost '/'", "%v", reason)
	deleted, err := channel.QueueDelete(queue.Name, false, false, false)
	check(err)
	expect(deleted == 0, "%d messages were left", deleted)
	check(connection.Close())
}
