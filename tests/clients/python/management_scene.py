"""One scene, asked about through the management API: `python management_scene.py capture AMQP_PORT HTTP_PORT > FILE` writes which keys of
which JSON types a RabbitMQ answers with; management_shape.py makes the same scene in Crossdock and compares."""

import json
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode

import pika

LOGIN = "Basic " + b64encode(b"guest:guest").decode()


def request(port, method, path, body=None, login=LOGIN, headers=None):
    """Status and JSON (or None, if the answer has no body)."""
    sent = urllib.request.Request(f"http://127.0.0.1:{port}/api/{path}", method=method)
    if login:
        sent.add_header("Authorization", login)
    for name, value in (headers or {}).items():
        sent.add_header(name, value)
    if body is not None:
        sent.data = json.dumps(body).encode()
        sent.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(sent) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    return status, json.loads(text) if text else None


def make(amqp_port, http_port):
    """Something of everything, and traffic. The connection is given back: the scene lasts as long as it."""
    parameters = pika.URLParameters(f"amqp://guest:guest@127.0.0.1:{amqp_port}/%2f?heartbeat=60")
    parameters.client_properties = {"connection_name": "scene"}
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.exchange_declare("scene.topic", "topic", durable=True, arguments={"alternate-exchange": "scene.fanout"})
    channel.exchange_declare("scene.fanout", "fanout", durable=True)
    arguments = {"x-message-ttl": 3_600_000, "x-max-length": 1000}
    channel.queue_declare("scene.orders", durable=True, arguments=arguments)
    channel.queue_purge("scene.orders")
    channel.queue_declare("scene.mine", exclusive=True)
    channel.queue_declare("scene.empty", durable=True)
    channel.queue_bind("scene.orders", "scene.topic", "orders.#", {"why": "scene"})
    channel.exchange_bind("scene.fanout", "scene.topic", "all.*")
    channel.confirm_delivery()
    channel.basic_qos(prefetch_count=5)
    for number in range(20):
        properties = pika.BasicProperties(delivery_mode=2, content_type="text/plain", headers={"number": number})
        channel.basic_publish("scene.topic", f"orders.{number}", b"hello", properties, mandatory=True)
    channel.basic_consume("scene.orders", lambda *_: None, consumer_tag="scene-consumer", arguments={"x-priority": 1})
    connection.process_data_events(0.5)
    channel.basic_get("scene.empty")
    put = lambda path, body: expect_made(request(http_port, "PUT", path, body), path)
    put("users/scene-user", {"password": "secret", "tags": "monitoring"})
    put("permissions/%2F/scene-user", {"configure": "", "write": ".*", "read": ".*"})
    put("topic-permissions/%2F/scene-user", {"exchange": "amq.topic", "write": "^a", "read": ".*"})
    put("policies/%2F/scene-policy", {"pattern": "^scene\\.empty$", "definition": {"max-length": 7}, "apply-to": "queues"})
    put("operator-policies/%2F/scene-rule", {"pattern": "^scene\\.e", "definition": {"expires": 3600000}, "apply-to": "queues"})
    put("vhosts/scene-vhost", {"description": "scene", "tags": "a,b"})
    put("vhost-limits/scene-vhost/max-queues", {"value": 100})
    put("user-limits/scene-user/max-channels", {"value": 10})
    put("global-parameters/scene-global", {"value": {"a": 1}})
    return connection


def expect_made(answer, path):
    assert answer[0] in (201, 204), (path, answer)


def endpoints(http_port, node, connection_name, channel_name):
    """What is asked. The words of 4.x that 3.10 does not know are in management_shape.py."""
    v = "%2F"
    return [
        "overview", "whoami", "nodes", f"nodes/{node}", f"nodes/{node}/memory", "cluster-name", "extensions", "vhosts", f"vhosts/{v}",
        f"vhosts/{v}/permissions", f"vhosts/{v}/topic-permissions", f"vhosts/{v}/connections", f"vhosts/{v}/channels",
        "connections", f"connections/{connection_name}", f"connections/{connection_name}/channels", "connections/username/guest",
        "channels", f"channels/{channel_name}", "consumers", f"consumers/{v}",
        "exchanges", f"exchanges/{v}", f"exchanges/{v}/scene.topic", f"exchanges/{v}/scene.topic/bindings/source",
        f"exchanges/{v}/scene.fanout/bindings/destination", "queues", f"queues/{v}", f"queues/{v}/scene.orders",
        f"queues/{v}/scene.empty", f"queues/{v}/scene.mine",
        f"queues/{v}/scene.orders/bindings", f"queues/{v}?page=1&page_size=2", f"queues/{v}?page=1&page_size=100&name=scene&use_regex=true&pagination=false",
        f"exchanges/{v}?page=1", "connections?page=1", "channels?page=1", f"queues/{v}?columns=name,messages,message_stats.publish_details.rate",
        "bindings", f"bindings/{v}", f"bindings/{v}/e/scene.topic/q/scene.orders", f"bindings/{v}/e/scene.topic/e/scene.fanout",
        "users", "users/scene-user", "users/scene-user/permissions", "users/scene-user/topic-permissions", "users/without-permissions",
        "permissions", f"permissions/{v}/scene-user", "topic-permissions", f"topic-permissions/{v}/scene-user",
        "policies", f"policies/{v}", f"policies/{v}/scene-policy", "operator-policies", f"operator-policies/{v}", f"operator-policies/{v}/scene-rule",
        "parameters", "parameters/shovel", f"parameters/shovel/{v}", "global-parameters", "global-parameters/scene-global",
        "vhost-limits", "vhost-limits/scene-vhost", "user-limits", "user-limits/scene-user",
        "definitions", f"definitions/{v}", "feature-flags", "health/checks/alarms", "health/checks/local-alarms",
        f"health/checks/port-listener/{http_port}", "health/checks/port-listener/1", "health/checks/protocol-listener/amqp",
        "health/checks/protocol-listener/nonsense", "health/checks/virtual-hosts",
        "health/checks/node-is-quorum-critical", "health/checks/node-is-mirror-sync-critical", "health/checks/certificate-expiration/1/days",
        f"aliveness-test/{v}", f"auth/attempts/{node}", "shovels", f"shovels/{v}", "federation-links", f"federation-links/{v}", "auth",
        "nonsense", f"queues/{v}/nonsense", "queues/nonsense", "users/nonsense", f"exchanges/{v}/nonsense", "vhosts/nonsense", "channels/nonsense",
    ]


def shape(value):
    """JSON types instead of values; a list is the union of what is in it."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in sorted(value.items())}
    if isinstance(value, list):
        merged = None
        for inner in value:
            merged = shape(inner) if merged is None else merge(merged, shape(inner))
        return [] if merged is None else [merged]
    return {bool: "boolean", int: "number", float: "number", str: "string", type(None): "null"}[type(value)]


def merge(one, other):
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: merge(one.get(key, other.get(key)), other.get(key, one.get(key))) for key in sorted({*one, *other})}
    if isinstance(one, list) and isinstance(other, list) and one and other:
        return [merge(one[0], other[0])]
    if one == other or not other:
        return one
    return other if not one else f"{one}|{other}" if isinstance(one, str) and isinstance(other, str) else one


def names(http_port):
    """The node, the scene's connection and its channel, once statistics know them."""
    node = request(http_port, "GET", "overview")[1]["node"]
    for _ in range(100):
        channels = [c for c in request(http_port, "GET", "channels")[1] if c.get("consumer_count") and "connection_details" in c]
        queue = request(http_port, "GET", "queues/%2F/scene.orders")[1]
        if channels and queue.get("messages") == 20 and queue.get("consumer_details"):
            quote = lambda name: urllib.request.quote(name, safe="")
            return node, quote(channels[0]["connection_details"]["name"]), quote(channels[0]["name"])
        time.sleep(0.2)
    raise AssertionError(f"the scene does not appear: {request(http_port, 'GET', 'channels')} {queue}")


def answers(http_port):
    node, connection, channel = names(http_port)
    found = {}
    for path in endpoints(http_port, node, connection, channel):
        status, body = request(http_port, "GET", path)
        neutral = path.replace(node, "NODE").replace(channel, "CHANNEL").replace(connection, "CONNECTION").replace(f"/{http_port}", "/PORT")
        found[neutral] = (status, body)
    return found


if __name__ == "__main__":
    _, _, amqp, http = sys.argv
    connection = make(int(amqp), int(http))
    for _ in range(12):  # two samples of RabbitMQ's statistics
        connection.process_data_events(1)
    print(json.dumps({path: {"status": status, "shape": shape(body)} for path, (status, body) in answers(int(http)).items()}, indent=1))
    connection.close()
