// STOMP through go-stomp: receipts, acknowledgements, transactions, errors.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
)

const patience = 30 * time.Second

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func dial(options ...func(*stomp.Conn) error) *stomp.Conn {
	var ports map[string]int
	check(json.Unmarshal([]byte(os.Getenv("CROSSDOCK_PORTS")), &ports))
	options = append([]func(*stomp.Conn) error{stomp.ConnOpt.Login("guest", "guest"), stomp.ConnOpt.Host("/")}, options...)
	connection, err := stomp.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports["stomp"]), options...)
	check(err)
	return connection
}

func next(subscription *stomp.Subscription) *stomp.Message {
	select {
	case message := <-subscription.C:
		check(message.Err)
		return message
	case <-time.After(patience):
		panic("no message")
	}
}

func expect(message *stomp.Message, body string) {
	if string(message.Body) != body {
		panic(fmt.Sprintf("%q instead of %q", message.Body, body))
	}
}

func main() {
	for _, version := range []stomp.Version{stomp.V10, stomp.V11, stomp.V12} {
		connection := dial(stomp.ConnOpt.AcceptVersion(version), stomp.ConnOpt.HeartBeat(time.Second, time.Second))
		if connection.Version() != version {
			panic(connection.Version())
		}
		queue := "/queue/go-" + string(version)
		for _, mode := range []stomp.AckMode{stomp.AckAuto, stomp.AckClient, stomp.AckClientIndividual} {
			subscription, err := connection.Subscribe(queue, mode, stomp.SubscribeOpt.Id("s-"+mode.String()))
			check(err)
			for number := range 5 {
				header := stomp.SendOpt.Header("x", "a:b\\c")
				check(connection.Send(queue, "text/plain", []byte(fmt.Sprint(number)), stomp.SendOpt.Receipt, header))
			}
			for number := range 5 {
				message := next(subscription)
				expect(message, fmt.Sprint(number))
				if message.Header.Get("x") != "a:b\\c" || message.ContentType != "text/plain" {
					panic(message.Header)
				}
				if mode.ShouldAck() {
					check(connection.Ack(message))
				}
			}
			check(subscription.Unsubscribe())
		}
		check(connection.Disconnect())
	}
	transactions()
	negative()
	errors()
}

func transactions() {
	connection := dial()
	subscription, err := connection.Subscribe("/queue/go-tx", stomp.AckAuto)
	check(err)
	aborted := connection.Begin()
	check(aborted.Send("/queue/go-tx", "", []byte("aborted")))
	check(aborted.AbortWithReceipt())
	committed := connection.Begin()
	check(committed.Send("/queue/go-tx", "", []byte("committed")))
	check(connection.Send("/queue/go-tx", "", []byte("before"), stomp.SendOpt.Receipt))
	check(committed.CommitWithReceipt())
	expect(next(subscription), "before")
	expect(next(subscription), "committed")
	check(connection.Disconnect())
}

func negative() {
	connection := dial()
	subscription, err := connection.Subscribe("/queue/go-nack", stomp.AckClientIndividual)
	check(err)
	check(connection.Send("/queue/go-nack", "", []byte("again")))
	check(connection.Nack(next(subscription)))
	message := next(subscription)
	if message.Header.Get("redelivered") != "true" {
		panic(message.Header)
	}
	check(connection.Ack(message))
	check(connection.Disconnect())
}

func errors() {
	connection := dial()
	err := connection.Send("/nowhere/x", "", nil, stomp.SendOpt.Receipt)
	var told *stomp.Error
	if e, ok := err.(*stomp.Error); ok {
		told = e
	}
	if e, ok := err.(stomp.Error); ok {
		told = &e
	}
	if told == nil || told.Message != "Unknown destination" || told.Frame.Header.Get(frame.ReceiptId) == "" {
		panic(fmt.Sprintf("%T %v", err, err))
	}
}
