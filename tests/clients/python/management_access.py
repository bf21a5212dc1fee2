"""Who sees and may do what, by tag, in RabbitMQ's words. The broker has the users of tests/management.rs, all with the password `secret`."""

from base64 import b64encode

from management_scene import request
from ports import PORTS


def ask(user, method, path, body=None, password="secret"):
    login = "Basic " + b64encode(f"{user}:{password}".encode()).decode()
    return request(PORTS["management"], method, path, body, login=login)


def refused(reason):
    return 401, {"error": "not_authorised", "reason": reason}


NO_TAG, NO_MONITOR, NO_ADMINISTRATOR = refused("Not management user"), refused("Not monitor user"), refused("Not administrator user")
NO_VHOST, NO_OBJECT = refused("User not authorised to access virtual host"), refused("User not authorised to access object")
LOGIN_FAILED = 401, {"error": "not_authorized", "reason": "Login failed"}

assert ask("root", "GET", "whoami") == (200, {"name": "root", "tags": ["administrator"]})
assert ask("root", "GET", "whoami", password="wrong") == LOGIN_FAILED
assert ask("nobody", "GET", "whoami") == LOGIN_FAILED
for path in ("whoami", "overview", "queues", "nonsense"):
    assert ask("plain", "GET", path) == NO_TAG, path

# The contents of a vhost are for those who may enter it, and for administrators.
assert ask("root", "PUT", "queues/%2F/q", {"durable": True})[0] == 201
assert ask("manager", "GET", "queues") == (200, []) and ask("watcher", "GET", "queues") == (200, [])
assert ask("manager", "GET", "queues/%2F") == NO_VHOST and ask("watcher", "GET", "exchanges/%2F") == NO_VHOST
assert [queue["name"] for queue in ask("maker", "GET", "queues/%2F")[1]] == ["q"]
assert [queue["name"] for queue in ask("boss", "GET", "queues")[1]] == ["q"], "an administrator sees all"
assert ask("boss", "PUT", "queues/%2F/q2", {})[0] == 401, "and may do what the permissions say"
assert ask("manager", "GET", "vhosts") == (200, []) and [vhost["name"] for vhost in ask("watcher", "GET", "vhosts")[1]] == ["/"]

# The overview is of what they see; listeners are for monitors.
for user, queues in (("manager", 0), ("maker", 1)):
    overview = ask(user, "GET", "overview")[1]
    assert overview["object_totals"]["queues"] == queues and "listeners" not in overview, overview
assert "listeners" in ask("watcher", "GET", "overview")[1]

# What belongs to others, and to the broker.
for user, answer in (("manager", NO_MONITOR), ("maker", NO_MONITOR)):
    assert ask(user, "GET", "nodes") == answer and ask(user, "GET", "auth/attempts/x") == answer
assert len(ask("watcher", "GET", "nodes")[1]) == 1
for path in ("users", "permissions", "definitions", "users/maker", "feature-flags", "topic-permissions"):
    for user in ("manager", "maker", "watcher"):
        assert ask(user, "GET", path) == NO_ADMINISTRATOR, (user, path)
for user in ("manager", "watcher"):
    assert ask(user, "GET", "parameters") == NO_OBJECT and ask(user, "GET", "global-parameters") == NO_OBJECT
assert ask("maker", "PUT", "policies/%2F/p", {"pattern": 7, "definition": {"max-length": 1}})[0] == 400, "empty would be everything"
policy = {"pattern": "^x", "definition": {"max-length": 1}}
assert ask("manager", "PUT", "policies/%2F/p", policy) == NO_OBJECT
assert ask("maker", "PUT", "policies/%2F/p", policy)[0] == 201 and ask("maker", "GET", "policies/%2F/p")[0] == 200
assert ask("maker", "PUT", "operator-policies/%2F/p", policy) == NO_ADMINISTRATOR
assert ask("maker", "PUT", "parameters/operator_policy/%2F/p", {"value": policy}) == NO_ADMINISTRATOR, "nor by the other path"
for path in ("vhosts/v", "users/x", "permissions/%2F/maker", "vhost-limits/%2F/max-queues", "user-limits/maker/max-channels", "global-parameters/g"):
    assert ask("maker", "PUT", path, {"value": 1, "tags": ""}) == NO_ADMINISTRATOR, path

# The core decides what is done to queues and exchanges: `maker` may configure, write and read what begins with a.
assert ask("maker", "PUT", "queues/%2F/b", {})[0] == 401 and ask("maker", "PUT", "queues/%2F/a", {})[0] == 201
assert ask("maker", "DELETE", "queues/%2F/q")[0] == 401 and ask("maker", "DELETE", "queues/%2F/q/contents")[0] == 401
assert ask("maker", "POST", "bindings/%2F/e/amq.topic/q/q", {})[0] == 401
message = {"properties": {}, "routing_key": "q", "payload": "x", "payload_encoding": "string"}
assert ask("maker", "POST", "exchanges/%2F/amq.default/publish", message)[0] == 401
status, body = ask("maker", "POST", "queues/%2F/q/get", {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"})
assert status == 401 and "refused for user 'maker'" in body["reason"], body

# What the configuration file declares is changed there.
assert ask("root", "PUT", "users/maker", {"password": "x", "tags": ""})[0] == 403 and ask("root", "DELETE", "users/maker")[0] == 403

# A user of run time: there after a moment, gone after another, with what the password opens.
assert ask("root", "PUT", "users/new", {"password": "secret", "tags": "management"})[0] == 201
assert ask("new", "GET", "whoami") == (200, {"name": "new", "tags": ["management"]})
assert ask("root", "PUT", "users/new", {"password": "other", "tags": "management"})[0] == 204
assert ask("new", "GET", "whoami") == LOGIN_FAILED and ask("new", "GET", "whoami", password="other")[0] == 200
assert ask("root", "DELETE", "users/new")[0] == 204 and ask("new", "GET", "whoami", password="other") == LOGIN_FAILED
hashed = ask("root", "GET", "auth/hash_password/secret")[1]["ok"]
assert ask("root", "PUT", "users/hashed", {"password_hash": hashed, "tags": "monitoring"})[0] == 201
assert ask("hashed", "GET", "nodes")[0] == 200
attempts = {one["protocol"]: one for one in ask("root", "GET", "auth/attempts/x")[1]}["http"]
assert attempts["auth_attempts_failed"] >= 4 and attempts["auth_attempts"] == attempts["auth_attempts_failed"] + attempts["auth_attempts_succeeded"]
