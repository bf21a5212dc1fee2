"""rabbitmqadmin, RabbitMQ's own command line for the management API: everything that it can declare, list, move and delete."""

import json
import pathlib
import subprocess
import sys
import tempfile

from ports import PORTS

SCRIPT = sys.argv[1]


def run(*arguments):
    command = [sys.executable, SCRIPT, "--host", "127.0.0.1", "--port", str(PORTS["management"]), *arguments]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, (arguments, finished.stdout, finished.stderr)
    return finished.stdout


def rows(*arguments):
    return json.loads(run("--format", "raw_json", *arguments))


run("declare", "vhost", "name=admin-vhost")
run("declare", "user", "name=admin-user", "password=x", "tags=management")
run("declare", "permission", "vhost=admin-vhost", "user=admin-user", "configure=.*", "write=.*", "read=.*")
assert {"user": "admin-user", "vhost": "admin-vhost", "configure": ".*", "write": ".*", "read": ".*"} in rows("list", "permissions")
run("declare", "vhost_limit", "vhost=admin-vhost", "name=max-queues", "value=3")
assert rows("list", "vhost_limits") == [{"vhost": "admin-vhost", "value": {"max-queues": 3}}]
run("declare", "exchange", "name=admin.x", "type=topic", "durable=true")
run("declare", "queue", "name=admin.q", "durable=true", 'arguments={"x-max-length": 9}')
run("declare", "binding", "source=admin.x", "destination=admin.q", "routing_key=a.#")
run("declare", "policy", "name=admin-policy", "pattern=^admin", 'definition={"max-length": 5}', "apply-to=queues")
run("declare", "operator_policy", "name=admin-rule", "pattern=^admin", 'definition={"expires": 3600000}')
run("declare", "parameter", "component=federation-upstream", "name=up", 'value={"uri": "amqp://"}')
assert rows("list", "queues", "name", "policy", "arguments") == [{"name": "admin.q", "policy": "admin-policy", "arguments": {"x-max-length": 9}}]
assert "Message published" in run("publish", "exchange=admin.x", "routing_key=a.b", "payload=hello")
assert "NOT routed" in run("publish", "exchange=admin.x", "routing_key=nowhere", "payload=hello")
(message,) = rows("get", "queue=admin.q", "ackmode=ack_requeue_true")
assert (message["payload"], message["exchange"], message["routing_key"]) == ("hello", "admin.x", "a.b"), message
assert rows("list", "queues", "messages")[0]["messages"] == 1
run("purge", "queue", "name=admin.q")
assert rows("list", "queues", "messages")[0]["messages"] == 0
for what in ("overview",):
    assert rows("show", what)
for what in ("connections", "channels", "consumers", "exchanges", "bindings", "users", "vhosts", "nodes", "parameters", "policies", "operator_policies"):
    rows("list", what)
with tempfile.TemporaryDirectory() as folder:
    file = pathlib.Path(folder) / "definitions.json"
    run("export", str(file))
    run("delete", "queue", "name=admin.q")
    assert rows("list", "queues", "name") == []
    run("import", str(file))
assert [binding["routing_key"] for binding in rows("list", "bindings") if binding["source"] == "admin.x"] == ["a.#"]
run("delete", "binding", "source=admin.x", "destination_type=queue", "destination=admin.q", "properties_key=a.%23")
run("delete", "policy", "name=admin-policy")
run("delete", "operator_policy", "name=admin-rule")
run("delete", "parameter", "component=federation-upstream", "name=up")
run("delete", "queue", "name=admin.q")
run("delete", "exchange", "name=admin.x")
run("delete", "user", "name=admin-user")
run("delete", "vhost", "name=admin-vhost")
assert [vhost["name"] for vhost in rows("list", "vhosts", "name")] == ["/"]
