"""The management API as other people's tools use it: every key that RabbitMQ answers with (management_capture.json) is there with the same JSON
type, except those named below; errors have RabbitMQ's status and words; what KEDA and Flower ask is answered."""

import json
import pathlib
import re
import urllib.parse
import urllib.request

import management_scene as scene
from ports import PORTS, wait_for

HTTP = PORTS["management"]
CAPTURE = json.loads((pathlib.Path(__file__).parent / "management_capture.json").read_text())

# What only Erlang's runtime, RabbitMQ's message store or its mirrors could say.
NOT_OURS = re.compile(
    r"(^|\.)(garbage_collection|reductions(_details)?|recoverable_slaves|internal_purpose|cowboy_opts|socket_opts|ra_open_file_metrics|"
    r"(io|gc|mnesia|msg_store|queue_index)_\w+|context_switches\w*|metrics_gc_queue_length|applications|config_files|contexts|"
    r"disk_(reads|writes)(_details)?|messages?\w*_(ram|paged_out)|"
    r"backing_queue_status\.(?!len|mode|version).*|cluster_state\..*|javascript)$"
)
# What we do not count: channels have few counters of their own, since every message would pay for them.
NOT_COUNTED = re.compile(
    r"^nodes.*\.(channel|connection|queue)_(created|closed|declared|deleted)(_details)?$|"
    r"^vhosts.*\.message_stats\.(confirm|drop_unroutable|return_unroutable)(_details)?$|"
    r"channels.*\.message_stats\.\w+$|channels.*\.idle_since$|^queues.*idle_since$"
)
# Values that anybody may set.
ANYTHING = re.compile(r"global_parameters.*\.value$|^global-parameters.*\.value$|\.(arguments|definition|client_properties)\.\w+$")


def compare(path, wanted, found, where, missing):
    if NOT_OURS.search(where) or NOT_COUNTED.search(f"{path}{where}") or ANYTHING.search(f"{path}{where}"):
        return
    if isinstance(wanted, dict) and wanted:
        if not isinstance(found, dict):
            return missing.append(f"{path} {where}: no object but {found}")
        for key, inner in wanted.items():
            if key not in found:
                if not (NOT_OURS.search(f"{where}.{key}") or NOT_COUNTED.search(f"{path}{where}.{key}")):
                    missing.append(f"{path} {where}.{key}: missing")
            else:
                compare(path, inner, found[key], f"{where}.{key}", missing)
    elif isinstance(wanted, list):
        if not isinstance(found, list) or (wanted and not found and path != "extensions"):
            missing.append(f"{path} {where}: no such list but {found}")
        elif wanted and found:
            compare(path, wanted[0], found[0], where, missing)
    elif isinstance(wanted, str) and isinstance(found, str):
        if not {*wanted.split("|"), "null"} & {*found.split("|")}:
            missing.append(f"{path} {where}: {found} instead of {wanted}")


def ask(method, path, body=None, **more):
    return scene.request(HTTP, method, path, body, **more)


def expect(answer, status, body=None):
    assert answer[0] == status and (body is None or answer[1] == body), (answer, status, body)


def bad(reason):
    return {"error": "bad_request", "reason": reason}


def shapes(connection):
    connection.process_data_events(0.1)
    missing = []
    for path, (status, body) in scene.answers(HTTP).items():
        known = CAPTURE[path]
        if status != known["status"]:
            missing.append(f"{path}: {status} instead of {known['status']}")
        elif not path.startswith("health/checks/port-listener/1"):
            compare(path, known["shape"], scene.shape(body), "", missing)
    assert not missing, "\n".join(missing)


def keda():
    """github.com/kedacore/keda, pkg/scalers/rabbitmq_scaler.go: what it decodes must be there, and be numbers."""
    queue = ask("GET", "queues/%2F/scene.orders")[1]
    pattern = urllib.parse.quote("^scene\\.o", safe="")
    query = f"queues/%2F?page=1&use_regex=true&pagination=false&name={pattern}&page_size=100"
    page = ask("GET", query)[1]
    assert [item["name"] for item in page["items"]] == ["scene.orders"] and page["page_count"] == 1, page
    for item in (queue, page["items"][0]):
        assert (item["messages"], item["messages_ready"], item["messages_unacknowledged"]) == (20, 15, 5), item
        assert item["message_stats"]["publish_details"]["rate"] >= 0 and item["message_stats"]["deliver_get_details"]["rate"] >= 0
    empty = ask("GET", "queues/%2F/scene.empty")[1]
    assert (empty["messages"], empty["messages_ready"], empty["messages_unacknowledged"]) == (0, 0, 0)


def flower():
    for queue in ask("GET", "queues/%2F")[1]:
        for key in ("messages", "messages_unacknowledged", "messages_ready", "consumers"):
            assert isinstance(queue[key], int), queue
    by_name = {queue["name"]: queue for queue in ask("GET", "queues/%2F")[1]}
    assert by_name["scene.orders"]["consumers"] == 1 and "idle_since" not in by_name["scene.orders"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", by_name["scene.empty"]["idle_since"])


def consumers():
    (consumer,) = ask("GET", "queues/%2F/scene.orders")[1]["consumer_details"]
    assert consumer["consumer_tag"] == "scene-consumer" and consumer["arguments"] == {"x-priority": 1}, consumer
    assert (consumer["prefetch_count"], consumer["ack_required"], consumer["active"]) == (5, True, True), consumer
    (channel,) = ask("GET", "channels")[1]
    assert (channel["number"], channel["consumer_count"], channel["confirm"], channel["messages_unacknowledged"]) == (1, 1, True, 5)
    mine = ask("GET", "queues/%2F/scene.mine")[1]
    assert mine["owner_pid_details"]["name"] == channel["connection_details"]["name"] and mine["exclusive"]
    empty = ask("GET", "queues/%2F/scene.empty")[1]
    assert (empty["policy"], empty["operator_policy"]) == ("scene-policy", "scene-rule")
    assert empty["effective_policy_definition"] == {"max-length": 7, "expires": 3600000}, empty


def rates(connection):
    """Sampled every five seconds while somebody asks."""
    channel = connection.channel()
    channel.queue_declare("rated", durable=True)

    def rate():
        channel.basic_publish("", "rated", b"x")
        connection.process_data_events(0.05)
        return ask("GET", "queues/%2F/rated?columns=message_stats.publish_details.rate,messages_details.rate")[1]["message_stats"]["publish_details"]["rate"] > 0

    wait_for("a rate of publishes", rate)
    wait_for("a rate of all publishes", lambda: rate() and ask("GET", "overview")[1]["message_stats"]["publish_details"]["rate"] > 0)
    exchange = lambda: ask("GET", "exchanges/%2F/amq.default")[1]["message_stats"]
    wait_for("a rate of the exchange", lambda: rate() and exchange()["publish_in_details"]["rate"] > 0)
    assert exchange()["publish_in"] == exchange()["publish_out"] > 0, exchange()
    ask("DELETE", "queues/%2F/rated")


def errors():
    expect(ask("GET", "whoami", login=None), 401, {"error": "not_authorized", "reason": "Login failed"})
    expect(ask("PUT", "queues/%2F/w1", {"durable": True}), 201)
    expect(ask("PUT", "queues/%2F/w1", {"durable": True}), 204)
    text = "inequivalent arg 'durable' for queue 'w1' in vhost '/': received 'false' but current is 'true'"
    expect(ask("PUT", "queues/%2F/w1", {"durable": False}), 400, bad(text))
    expect(ask("PUT", "queues/%2F/w2", {"durable": "yes"}), 400, bad(["not_boolean", "yes"]))
    expect(ask("PUT", "queues/%2F/w2", []), 400, bad("not_json"))
    expect(ask("PUT", "queues/%2F/" + "n" * 256, {}), 400)
    nested = {}
    for _ in range(100):
        nested = {"a": nested}
    expect(ask("PUT", "queues/%2F/w2", {"arguments": nested}), 400)
    expect(ask("PUT", "queues/%2F/w2", {"arguments": {"a" * 256: 1}}), 400)
    expect(ask("PUT", "queues/nope/w2", {}), 404, {"error": "not_found", "reason": "vhost_not_found"})
    assert ask("PUT", "queues/%2F/amq.foo", {})[0] == 401 and ask("DELETE", "exchanges/%2F/amq.topic")[0] == 401
    expect(ask("PUT", "exchanges/%2F/ex1", {"type": "topic", "durable": True}), 201)
    text = "inequivalent arg 'type' for exchange 'ex1' in vhost '/': received 'direct' but current is 'topic'"
    expect(ask("PUT", "exchanges/%2F/ex1", {"type": "direct", "durable": True}), 400, bad(text))
    missing = {"error": "Object Not Found", "reason": "Not Found"}
    expect(ask("POST", "bindings/%2F/e/ex1/q/nope", {}), 404, {"error": "not_found", "reason": "no queue 'nope' in vhost '/'"})
    expect(ask("POST", "bindings/%2F/e/ex1/q/w1", {"routing_key": "a.b"}), 201)
    expect(ask("GET", "bindings/%2F/e/ex1/q/w1/a.b")[1]["routing_key"] and (200, None), 200)
    expect(ask("DELETE", "bindings/%2F/e/ex1/q/w1/nope"), 404, missing)
    expect(ask("DELETE", "bindings/%2F/e/ex1/q/w1/a.b"), 204)
    expect(ask("DELETE", "queues/%2F/nope/contents"), 404, missing)
    expect(ask("PATCH", "queues/%2F/w1"), 405)
    expect(ask("DELETE", "overview"), 405)
    expect(ask("PUT", "users/u1", {"password": "x"}), 400, bad("tags_not_present"))
    expect(ask("PUT", "users/u1", {"password": "x", "password_hash": "", "tags": ""}), 400, bad("both_password_and_password_hash_are_provided"))
    expect(ask("PUT", "permissions/%2F/nope", {"configure": "", "write": "", "read": ""}), 400, bad("vhost_or_user_not_found"))
    expect(ask("PUT", "permissions/%2F/scene-user", {"configure": "", "write": ""}), 400, bad("[{key_missing,read}]"))
    expect(ask("PUT", "policies/%2F/p1", {"pattern": "^x", "definition": {"max-length": -1}}), 400)
    expect(ask("PUT", "vhost-limits/nope/max-queues", {"value": 1}), 404, {"error": "not_found", "reason": "vhost_not_found"})
    expect(ask("POST", "users/bulk-delete", {"users": ["nope"]}), 400, bad(["no_such_user", "nope"]))
    expect(ask("DELETE", "connections/nope"), 404, missing)
    expect(ask("DELETE", "vhosts/nope"), 404, missing)
    expect(ask("POST", "definitions", []), 400)


def messages():
    publish = lambda exchange, body: ask("POST", f"exchanges/%2F/{exchange}/publish", body)
    given = {"delivery_mode": 2, "headers": {"a": 1}, "content_type": "text/plain", "timestamp": 123, "priority": 3}
    body = {"properties": given, "routing_key": "w1", "payload": "aGk=", "payload_encoding": "base64"}
    expect(publish("amq.default", body), 200, {"routed": True})
    expect(publish("ex1", {**body, "properties": {}}), 200, {"routed": False})
    expect(publish("amq.default", {**body, "payload": "a!!"}), 400, bad(["not_base64", "a!!"]))
    expect(publish("amq.default", {**body, "payload_encoding": "nope"}), 400, bad(["unsupported_encoding", "nope"]))
    expect(publish("nope", body), 400, bad("404 NOT_FOUND - no exchange 'nope' in vhost '/'"))
    text = "[{key_missing,properties},\n {key_missing,payload},\n {key_missing,payload_encoding}]"
    expect(publish("amq.default", {"routing_key": "w1"}), 400, bad(text))
    get = lambda **more: ask("POST", "queues/%2F/w1/get", {"count": 5, "ackmode": "ack_requeue_true", "encoding": "auto", **more})
    shown = {"payload_bytes": 2, "redelivered": False, "exchange": "", "routing_key": "w1", "message_count": 0, "properties": given,
             "payload": "hi", "payload_encoding": "string"}
    expect(get(), 200, [shown])
    again = {**shown, "redelivered": True, "payload": "aA==", "payload_encoding": "base64"}
    expect(get(encoding="base64", truncate=1), 200, [again])
    expect(get(encoding="nope"), 400, bad("Unsupported encoding. Please use auto or base64."))
    expect(ask("POST", "queues/%2F/w1/get", {"encoding": "auto"}), 400, bad("[{key_missing,ackmode},{key_missing,count}]"))
    expect(ask("DELETE", "queues/%2F/w1?if-empty=true"), 400, bad("queue 'w1' in vhost '/' not empty"))
    assert get(ackmode="ack_requeue_false")[1][0]["redelivered"] and get()[1] == []
    expect(ask("POST", "queues/%2F/nope/get", {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}), 404,
           {"error": "not_found", "reason": "NOT_FOUND - no queue 'nope' in vhost '/'"})
    expect(ask("DELETE", "queues/%2F/w1?if-empty=true"), 204)
    expect(ask("DELETE", "exchanges/%2F/ex1"), 204)


def metrics():
    """The names that RabbitMQ's Grafana dashboards ask for."""
    read = lambda path: urllib.request.urlopen(f"http://127.0.0.1:{HTTP}/{path}").read().decode()
    page, per_object = read("metrics"), read("metrics/per-object")
    for name in (
        "queue_messages", "queue_messages_ready", "queue_messages_unacked", "queue_consumers", "connections", "channels", "queues", "consumers",
        "alarms_memory_used_watermark", "alarms_free_disk_space_watermark", "process_resident_memory_bytes", "disk_space_available_bytes",
        "resident_memory_limit_bytes", "process_open_fds", "process_max_fds", "connections_opened_total", "connections_closed_total",
    ):
        assert re.search(rf"^rabbitmq_{name} \d+$", page, re.M), name
    for name in ("received", "confirmed", "routed", "delivered", "acknowledged", "unroutable_returned", "unroutable_dropped"):
        assert re.search(rf'^rabbitmq_global_messages_{name}_total{{protocol="amqp091"}} \d+$', page, re.M), name
    for name in ("expired", "rejected", "maxlen", "delivery_limit"):
        assert f"rabbitmq_global_messages_dead_lettered_{name}_total{{queue_type=" in page, name
    assert "rabbitmq_build_info{" in page and "rabbitmq_identity_info{" in page and "rabbitmq_global_messages_redelivered_total " in page
    assert page.count("# EOF") == 1 and "crossdock_build_info{" in page
    assert 'rabbitmq_queue_messages{vhost="/",queue="scene.orders"} 20' in per_object and "\nrabbitmq_queue_messages " not in per_object


def the_end(connection):
    (known,) = ask("GET", "connections")[1]
    quoted = urllib.parse.quote(known["name"], safe="")
    expect(ask("DELETE", f"connections/{quoted}", headers={"X-Reason": "the scene is over"}), 204)
    try:
        while True:
            connection.process_data_events(1)
    except scene.pika.exceptions.ConnectionClosedByBroker as error:
        assert (error.reply_code, error.reply_text) == (320, "CONNECTION_FORCED - the scene is over"), error
    wait_for("the connection to leave the list", lambda: ask("GET", "connections")[1] == [])


connection = scene.make(PORTS["amqp"], HTTP)
shapes(connection)
keda()
flower()
consumers()
errors()
messages()
metrics()
rates(connection)
the_end(connection)
