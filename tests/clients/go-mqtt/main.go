// MQTT 3.1.1 through paho.mqtt.golang and MQTT 5 through paho.golang: three QoS, sessions, retained messages, wills, TLS.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/eclipse/paho.mqtt.golang"
)

const patience = 60 * time.Second

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

func done(token mqtt.Token) {
	expect(token.WaitTimeout(patience), "no answer in time")
	check(token.Error())
}

func options(address, name string, clean bool) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().AddBroker(address).SetClientID(name).SetUsername("guest").SetPassword("guest").
		SetProtocolVersion(4).SetCleanSession(clean).SetAutoReconnect(false)
}

func connect(settings *mqtt.ClientOptions) mqtt.Client {
	client := mqtt.NewClient(settings)
	done(client.Connect())
	return client
}

func next[T any](from chan T) T {
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		panic("no message in time")
	}
}

// MQTT 3.1.1.
func older(address string, security *tls.Config) {
	received := make(chan mqtt.Message, 100)
	hear := func(_ mqtt.Client, message mqtt.Message) { received <- message }
	reader := connect(options(address, "go-reader", true).SetTLSConfig(security))
	done(reader.Subscribe("go/+/x", 2, hear))
	writer := connect(options(address, "go-writer", true).SetTLSConfig(security).SetWill("go/will/x", "gone", 1, false))
	for qos := range byte(3) {
		done(writer.Publish(fmt.Sprintf("go/%d/x", qos), qos, false, fmt.Sprint(qos)))
		message := next(received)
		expect(string(message.Payload()) == fmt.Sprint(qos) && message.Qos() == qos, "%v", message)
	}
	session := func() mqtt.Client {
		return connect(options(address, "go-session", false).SetTLSConfig(security).SetDefaultPublishHandler(hear))
	}
	stays := session()
	done(stays.Subscribe("go/missed", 1, hear))
	stays.Disconnect(100)
	done(writer.Publish("go/missed", 1, true, "missed"))
	stays = session()
	expect(string(next(received).Payload()) == "missed", "the session goes on")
	done(reader.Subscribe("go/missed", 0, hear))
	expect(next(received).Retained(), "retained")
	done(writer.Publish("go/missed", 1, true, ""))
	stays.Disconnect(100)
	reader.Disconnect(100)
	writer.Disconnect(100)
}

// MQTT 5.
func newer(port int) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	received := make(chan *paho.Publish, 100)
	open := func(name string) *paho.Client {
		stream, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		check(err)
		client := paho.NewClient(paho.ClientConfig{Conn: stream, OnPublishReceived: []func(paho.PublishReceived) (bool, error){
			func(got paho.PublishReceived) (bool, error) { received <- got.Packet; return true, nil },
		}})
		answer, err := client.Connect(ctx, &paho.Connect{ClientID: name, KeepAlive: 30, CleanStart: true, UsernameFlag: true,
			Username: "guest", PasswordFlag: true, Password: []byte("guest")})
		check(err)
		expect(answer.ReasonCode == 0, "%v", answer)
		return client
	}
	reader, writer := open("go5-reader"), open("go5-writer")
	identifier := 7
	_, err := reader.Subscribe(ctx, &paho.Subscribe{Properties: &paho.SubscribeProperties{SubscriptionIdentifier: &identifier},
		Subscriptions: []paho.SubscribeOptions{{Topic: "go5/#", QoS: 2}}})
	check(err)
	expiry := uint32(1000)
	properties := &paho.PublishProperties{ContentType: "text/plain", ResponseTopic: "go5/answers", CorrelationData: []byte{0, 1},
		MessageExpiry: &expiry, User: paho.UserProperties{{Key: "k", Value: "1"}, {Key: "k", Value: "2"}}}
	for qos := range byte(3) {
		_, err := writer.Publish(ctx, &paho.Publish{Topic: "go5/x", QoS: qos, Payload: []byte("m"), Properties: properties})
		check(err)
		got := next(received)
		expect(got.QoS == qos && got.Properties.ContentType == "text/plain" && len(got.Properties.User) == 2 &&
			got.Properties.User[1].Value == "2" && *got.Properties.SubscriptionIdentifier == 7, "%v", got)
	}
	check(reader.Disconnect(&paho.Disconnect{}))
	check(writer.Disconnect(&paho.Disconnect{}))
}

// A connection that is managed for its user.
func managed(port int) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	address, err := url.Parse(fmt.Sprintf("mqtt://127.0.0.1:%d", port))
	check(err)
	received := make(chan string, 10)
	manager, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{ServerUrls: []*url.URL{address}, KeepAlive: 20,
		CleanStartOnInitialConnection: true, SessionExpiryInterval: 60, ConnectUsername: "guest", ConnectPassword: []byte("guest"),
		OnConnectionUp: func(manager *autopaho.ConnectionManager, _ *paho.Connack) {
			_, err := manager.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "auto", QoS: 1}}})
			check(err)
			_, err = manager.Publish(ctx, &paho.Publish{Topic: "auto", QoS: 1, Payload: []byte("hello")})
			check(err)
		},
		ClientConfig: paho.ClientConfig{ClientID: "auto", OnPublishReceived: []func(paho.PublishReceived) (bool, error){
			func(got paho.PublishReceived) (bool, error) { received <- string(got.Packet.Payload); return true, nil },
		}}})
	check(err)
	expect(next(received) == "hello", "autopaho")
	check(manager.Disconnect(ctx))
}

// What the environment says of TLS; no configuration without it.
func security() *tls.Config {
	authority, err := os.ReadFile(os.Getenv("CROSSDOCK_CA"))
	if err != nil {
		return nil
	}
	roots := x509.NewCertPool()
	expect(roots.AppendCertsFromPEM(authority), "no authority")
	found := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	if certificate, err := tls.LoadX509KeyPair(os.Getenv("CROSSDOCK_CLIENT_CERT"), os.Getenv("CROSSDOCK_CLIENT_KEY")); err == nil {
		found.Certificates = []tls.Certificate{certificate}
	}
	return found
}

func main() {
	ports := map[string]int{}
	check(json.Unmarshal([]byte(os.Getenv("CROSSDOCK_PORTS")), &ports))
	if found := security(); found != nil {
		older(fmt.Sprintf("ssl://127.0.0.1:%d", ports["mqtts"]), found)
		return
	}
	older(fmt.Sprintf("tcp://127.0.0.1:%d", ports["mqtt"]), nil)
	newer(ports["mqtt"])
	managed(ports["mqtt"])
}
