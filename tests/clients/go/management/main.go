// The management API through rabbit-hole, the client of Terraform's and Pulumi's RabbitMQ providers: what those make, read back and destroy.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	hole "github.com/michaelklishin/rabbit-hole/v3"
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

// done expects a status and closes the answer.
func done(status int) func(*http.Response, error) {
	return func(response *http.Response, err error) {
		check(err)
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		expect(response.StatusCode == status, "%s %s: %s %s", response.Request.Method, response.Request.URL, response.Status, body)
	}
}

var (
	created = done(201)
	changed = done(204)
)

func must[T any](value T, err error) T {
	check(err)
	return value
}

// missing expects a 404.
func missing[T any](_ T, err error) {
	problem, is := err.(hole.ErrorResponse)
	expect(is && problem.StatusCode == 404, "not a 404: %v", err)
}

func main() {
	ports := map[string]int{}
	check(json.Unmarshal([]byte(os.Getenv("CROSSDOCK_PORTS")), &ports))
	client := must(hole.NewClient(fmt.Sprintf("http://127.0.0.1:%d", ports["management"]), "guest", "guest"))
	broker(client, ports)
	vhosts(client)
	users(client)
	topology(client)
	policies(client)
	parameters(client)
	definitions(client)
	connections(client, ports["amqp"])
	stranger := must(hole.NewClient(fmt.Sprintf("http://127.0.0.1:%d", ports["management"]), "guest", "guest"))
	expect(must(stranger.Whoami()).Name == "guest", "who else")
}

func broker(client *hole.Client, ports map[string]int) {
	overview := must(client.Overview())
	expect(overview.RabbitMQVersion != "" && overview.Node != "", "overview %+v", overview)
	node := must(client.GetNode(overview.Node))
	expect(node.IsRunning && node.MemUsed > 0, "node %+v", node)
	expect(len(must(client.ListNodes())) == 1, "nodes")
	expect(must(client.ProtocolPorts())["amqp"] == hole.Port(ports["amqp"]), "ports")
	alarms, local := must(client.HealthCheckAlarms()), must(client.HealthCheckLocalAlarms())
	vhosts, quorum := must(client.HealthCheckVirtualHosts()), must(client.HealthCheckNodeIsQuorumCritical())
	port, protocol := must(client.HealthCheckPortListener(uint(ports["amqp"]))), must(client.HealthCheckProtocolListener(hole.AMQP))
	expect(alarms.Ok() && local.Ok() && vhosts.Ok() && quorum.Ok() && port.Ok() && protocol.Ok(), "health")
	expect(len(must(client.ListFeatureFlags())) > 0, "feature flags")
	expect(len(must(client.ListDeprecatedFeatures())) == 0 && len(must(client.ListFederationLinks())) == 0, "lists")
	changed(client.SetClusterName(hole.ClusterName{Name: "rabbit-hole"}))
	expect(must(client.GetClusterName()).Name == "rabbit-hole", "cluster name")
}

func vhosts(client *hole.Client) {
	created(client.PutVhost("hole/vhost", hole.VhostSettings{Description: "d", Tags: []string{"a", "b"}, DefaultQueueType: "quorum"}))
	vhost := must(client.GetVhost("hole/vhost"))
	expect(vhost.Description == "d" && len(vhost.Tags) == 2 && vhost.DefaultQueueType == "quorum", "vhost %+v", vhost)
	changed(client.PutVhostLimits("hole/vhost", hole.VhostLimitsValues{"max-queues": 3}))
	limits := must(client.GetVhostLimits("hole/vhost"))
	expect(len(limits) == 1 && limits[0].Value["max-queues"] == 3, "limits %v", limits)
	changed(client.DeleteVhostLimits("hole/vhost", hole.VhostLimits{"max-queues"}))
	expect(len(must(client.GetVhostLimits("hole/vhost"))) == 0, "limits stay")
}

func users(client *hole.Client) {
	created(client.PutUser("hole-user", hole.UserSettings{Password: "secret", Tags: hole.UserTags{"management", "policymaker"}}))
	user := must(client.GetUser("hole-user"))
	expect(len(user.Tags) == 2 && user.Tags[0] == "management", "user %+v", user)
	created(client.UpdatePermissionsIn("hole/vhost", "hole-user", hole.Permissions{Configure: "^a", Write: "^b", Read: "^c"}))
	permissions := must(client.GetPermissionsIn("hole/vhost", "hole-user"))
	expect(permissions.Configure == "^a" && permissions.Write == "^b" && permissions.Read == "^c", "permissions %+v", permissions)
	expect(len(must(client.ListPermissionsOf("hole-user"))) == 1, "permissions of a user")
	created(client.UpdateTopicPermissionsIn("hole/vhost", "hole-user", hole.TopicPermissions{Exchange: "amq.topic", Write: "^b", Read: "^c"}))
	topics := must(client.GetTopicPermissionsIn("hole/vhost", "hole-user"))
	expect(len(topics) == 1 && topics[0].Exchange == "amq.topic", "topics %+v", topics)
	changed(client.DeleteTopicPermissionsIn("hole/vhost", "hole-user", "amq.topic"))
	missing(client.GetTopicPermissionsIn("hole/vhost", "hole-user"))
	changed(client.PutUserLimits("hole-user", hole.UserLimitsValues{"max-channels": 7}))
	expect(must(client.GetUserLimits("hole-user"))[0].Value["max-channels"] == 7, "user limits")
	changed(client.ClearPermissionsIn("hole/vhost", "hole-user"))
	missing(client.GetPermissionsIn("hole/vhost", "hole-user"))
}

func topology(client *hole.Client) {
	arguments := map[string]any{"alternate-exchange": "amq.fanout"}
	created(client.DeclareExchange("hole/vhost", "hole.x", hole.ExchangeSettings{Type: "topic", Durable: true, Arguments: arguments}))
	exchange := must(client.GetExchange("hole/vhost", "hole.x"))
	expect(exchange.Type == "topic" && exchange.Durable && exchange.Arguments["alternate-exchange"] == "amq.fanout", "exchange %+v", exchange)
	created(client.DeclareQueue("hole/vhost", "hole.q", hole.QueueSettings{Durable: true, Type: "classic", Arguments: map[string]any{"x-max-length": 5}}))
	changed(client.DeclareQueue("hole/vhost", "hole.q", hole.QueueSettings{Durable: true, Type: "classic", Arguments: map[string]any{"x-max-length": 5}}))
	queue := must(client.GetQueue("hole/vhost", "hole.q"))
	expect(queue.Durable && queue.Messages == 0 && queue.Arguments["x-max-length"] == 5.0, "queue %+v", queue)
	binding := hole.BindingInfo{Source: "hole.x", Destination: "hole.q", DestinationType: "queue", RoutingKey: "a.#", Arguments: map[string]any{"why": "test"}}
	created(client.DeclareBinding("hole/vhost", binding))
	found := must(client.ListQueueBindingsBetween("hole/vhost", "hole.x", "hole.q"))
	expect(len(found) == 1 && found[0].RoutingKey == "a.#" && found[0].PropertiesKey != "", "bindings %+v", found)
	expect(len(must(client.ListQueueBindings("hole/vhost", "hole.q"))) == 2, "the default exchange's is one, too")
	expect(len(must(client.ListExchangeBindingsWithSource("hole/vhost", "hole.x"))) == 1, "from the exchange")
	between := hole.BindingInfo{Source: "hole.x", Destination: "amq.fanout", DestinationType: "exchange", RoutingKey: "all.*"}
	created(client.DeclareBinding("hole/vhost", between))
	expect(len(must(client.ListExchangeBindingsBetween("hole/vhost", "hole.x", "amq.fanout"))) == 1, "between exchanges")
	changed(client.DeleteBinding("hole/vhost", found[0]))
	expect(len(must(client.ListQueueBindingsBetween("hole/vhost", "hole.x", "hole.q"))) == 0, "the binding stays")
	page := must(client.PagedListQueuesWithParametersIn("hole/vhost", url.Values{"page": {"1"}, "name": {"hole"}, "page_size": {"10"}}))
	expect(page.TotalCount == 1 && len(page.Items) == 1 && page.Items[0].Name == "hole.q", "page %+v", page)
	changed(client.PurgeQueue("hole/vhost", "hole.q"))
	missing(client.GetQueue("hole/vhost", "nonsense"))
}

func policies(client *hole.Client) {
	policy := hole.Policy{Pattern: "^hole", ApplyTo: "queues", Priority: 3, Definition: hole.PolicyDefinition{"max-length": 7}}
	created(client.PutPolicy("hole/vhost", "p", policy))
	read := must(client.GetPolicy("hole/vhost", "p"))
	expect(read.Pattern == "^hole" && read.Priority == 3 && read.Definition["max-length"] == 7.0, "policy %+v", read)
	operator := hole.OperatorPolicy{Pattern: "^hole", ApplyTo: "queues", Definition: hole.PolicyDefinition{"expires": 3600000}}
	created(client.PutOperatorPolicy("hole/vhost", "o", operator))
	expect(len(must(client.ListOperatorPoliciesIn("hole/vhost"))) == 1, "operator policies")
	queue := must(client.GetQueue("hole/vhost", "hole.q"))
	expect(queue.Policy == "p", "the policy does not apply: %+v", queue)
	changed(client.DeletePolicy("hole/vhost", "p"))
	changed(client.DeleteOperatorPolicy("hole/vhost", "o"))
	missing(client.GetPolicy("hole/vhost", "p"))
}

func parameters(client *hole.Client) {
	shovel := hole.ShovelDefinition{SourceURI: hole.URISet{"amqp://"}, SourceQueue: "a", DestinationURI: hole.URISet{"amqp://"}, DestinationQueue: "b"}
	created(client.DeclareShovel("hole/vhost", "s", shovel))
	expect(must(client.GetShovel("hole/vhost", "s")).Definition.SourceQueue == "a", "shovel")
	changed(client.DeleteShovel("hole/vhost", "s"))
	created(client.PutFederationUpstream("hole/vhost", "f", hole.FederationDefinition{Uri: hole.URISet{"amqp://"}}))
	expect(len(must(client.ListFederationUpstreamsIn("hole/vhost"))) == 1, "upstreams")
	changed(client.DeleteFederationUpstream("hole/vhost", "f"))
	created(client.PutGlobalParameter("hole-global", map[string]any{"a": 1}))
	expect(must(client.GetGlobalParameter("hole-global")).Name == "hole-global", "global parameter")
	changed(client.DeleteGlobalParameter("hole-global"))
}

func definitions(client *hole.Client) {
	exported := must(client.ListDefinitions())
	expect(exported.Queues != nil && len(*exported.Queues) > 0, "definitions")
	changed(client.DeleteQueue("hole/vhost", "hole.q"))
	changed(client.UploadDefinitions(exported))
	expect(must(client.GetQueue("hole/vhost", "hole.q")).Durable, "the queue is back")
	changed(client.DeleteQueue("hole/vhost", "hole.q", hole.QueueDeleteOptions{IfEmpty: true, IfUnused: true}))
	changed(client.DeleteExchange("hole/vhost", "hole.x"))
	changed(client.DeleteVhost("hole/vhost"))
	changed(client.DeleteUser("hole-user"))
	missing(client.GetVhost("hole/vhost"))
}

func connections(client *hole.Client, port int) {
	config := amqp.Config{Properties: amqp.Table{"connection_name": "hole"}}
	connection := must(amqp.DialConfig(fmt.Sprintf("amqp://guest:guest@127.0.0.1:%d/", port), config))
	channel := must(connection.Channel())
	queue := must(channel.QueueDeclare("", false, true, true, false, nil))
	must(channel.Consume(queue.Name, "hole-consumer", true, false, false, false, nil))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	check(channel.PublishWithContext(ctx, "", queue.Name, false, false, amqp.Publishing{Body: []byte("x")}))
	all := must(client.ListConnections())
	expect(len(all) == 1 && all[0].ClientProperties["connection_name"] == "hole" && all[0].Channels == 1, "connections %+v", all)
	expect(len(must(client.ListChannels())) == 1, "channels")
	consumers := must(client.ListConsumers())
	expect(len(consumers) == 1 && consumers[0].ConsumerTag == "hole-consumer", "consumers %+v", consumers)
	expect(len(must(client.ListConnectionsOfUser("guest"))) == 1 && len(must(client.ListVhostConnections("/"))) == 1, "connections of")
	closed := connection.NotifyClose(make(chan *amqp.Error, 1))
	changed(client.CloseConnection(all[0].Name))
	reason := <-closed
	expect(reason.Code == 320 && reason.Reason == "CONNECTION_FORCED - Closed via management plugin", "closed: %v", reason)
}
