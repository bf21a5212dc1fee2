"""rabbitmqadmin of RabbitMQ 4 ("v2", another program than the one in RabbitMQ's packages): declares, lists, moves and deletes."""

import json
import pathlib
import subprocess
import sys
import tempfile

from ports import PORTS

PROGRAM = sys.argv[1]
GLOBAL = [PROGRAM, "--non-interactive", "--host", "127.0.0.1", "--port", str(PORTS["management"])]


def finished(arguments, vhost):
    return subprocess.run([*GLOBAL, "--vhost", vhost, *arguments], capture_output=True, text=True)


def run(*arguments, vhost="/"):
    done = finished(arguments, vhost)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout


def refused(*arguments, vhost="/"):
    done = finished(arguments, vhost)
    assert done.returncode != 0, (arguments, done.stdout)
    return done.stdout + done.stderr


def rows(*arguments, vhost="/"):
    """First words of the lines of a table without borders."""
    return [line.split()[0] for line in run(*arguments, vhost=vhost).splitlines() if line.strip()]


for command in ("show overview", "show churn", "nodes list", "connections list", "channels list", "feature_flags list",
                "deprecated_features list", "plugins list_all", "global_parameters list", "shovels list_all",
                "health_check local_alarms", "health_check cluster_wide_alarms", "health_check node_is_quorum_critical"):
    run(*command.split())
run("health_check", "protocol_listener", "--protocol", "amqp")
run("health_check", "port_listener", "--port", str(PORTS["amqp"]))
assert "protocol" in refused("health_check", "protocol_listener", "--protocol", "nonesuch")

run("vhosts", "declare", "--name", "two", "--default-queue-type", "quorum", "--description", "of version 2")
run("vhosts", "enable_deletion_protection", "--name", "two")
refused("vhosts", "delete", "--name", "two")
run("vhosts", "disable_deletion_protection", "--name", "two")
run("users", "declare", "--name", "second", "--password", "x", "--tags", "management")
run("permissions", "declare", "--user", "second", "--configure", ".*", "--read", ".*", "--write", ".*", vhost="two")
run("user_limits", "declare", "--user", "second", "--name", "max-channels", "--value", "100")
run("vhost_limits", "declare", "--name", "max-queues", "--value", "10", vhost="two")
assert "second" in rows("users", "list") and "two" in rows("vhosts", "list")

for kind in ("classic", "quorum", "stream"):
    run("queues", "declare", "--name", f"{kind}.q", "--type", kind, "--durable", "true", vhost="two")
run("streams", "declare", "--name", "log", "--expiration", "7D", "--max-length-bytes", "1000000", vhost="two")
assert sorted(rows("queues", "list", vhost="two")) == ["classic.q", "log", "quorum.q", "stream.q"]
run("exchanges", "declare", "--name", "events", "--type", "topic", "--durable", "true", vhost="two")
bind = ("--source", "events", "--destination-type", "queue", "--destination", "classic.q", "--routing-key", "a.#")
run("exchanges", "bind", *bind, vhost="two")
assert "events" in run("bindings", "list", vhost="two")
run("publish", "message", "--exchange", "events", "--routing-key", "a.b", "--payload", "hello", vhost="two")
assert "hello" in run("get", "messages", "--queue", "classic.q", "--count", "1", "--ack-mode", "ack_requeue_true", vhost="two")
run("queues", "purge", "--name", "classic.q", vhost="two")

policy = ("--name", "short", "--pattern", "^classic", "--apply-to", "queues", "--priority", "1")
run("policies", "declare", *policy, "--definition", '{"max-length": 10}', vhost="two")
run("policies", "patch", "--name", "short", "--definition", '{"max-length": 5, "expires": 3600000}', vhost="two")
run("policies", "delete_definition_keys", "--name", "short", "--definition-keys", "expires", vhost="two")
assert "short" in run("policies", "list_matching_object", "--name", "classic.q", "--type", "queues", vhost="two")
run("operator_policies", "declare", "--name", "rule", "--pattern", ".*", "--apply-to", "queues", "--priority", "1",
    "--definition", '{"max-length": 1000}', vhost="two")
run("parameters", "set", "--component", "federation-upstream", "--name", "up", "--value", '{"uri": "amqp://"}', vhost="two")
run("global_parameters", "set", "--name", "purpose", "--value", '{"of": "tests"}')

with tempfile.TemporaryDirectory() as folder:
    file = pathlib.Path(folder) / "definitions.json"
    run("definitions", "export", "--file", str(file))
    definitions = json.loads(file.read_text())
    short = next(policy for policy in definitions["policies"] if policy["name"] == "short")
    assert short["definition"] == {"max-length": 5}, short
    run("queues", "delete", "--name", "classic.q", vhost="two")
    run("definitions", "import", "--file", str(file))
    assert "classic.q" in rows("queues", "list", vhost="two")
run("definitions", "export", "--stdout", "--transformations", "exclude_users,exclude_permissions")

run("exchanges", "unbind", *bind, vhost="two")
run("parameters", "clear", "--component", "federation-upstream", "--name", "up", vhost="two")
run("global_parameters", "clear", "--name", "purpose")
run("operator_policies", "delete", "--name", "rule", vhost="two")
run("policies", "delete", "--name", "short", vhost="two")
run("exchanges", "delete", "--name", "events", vhost="two")
run("queues", "delete", "--name", "quorum.q", vhost="two")
refused("queues", "delete", "--name", "quorum.q", vhost="two")
run("queues", "delete", "--name", "quorum.q", "--idempotently", vhost="two")
run("users", "delete", "--name", "second")
run("vhosts", "delete", "--name", "two")
assert rows("vhosts", "list") == ["/"]
