"""What clients of ActiveMQ and Artemis say, through stomp.py: selectors, composites, wildcards, durable subscriptions, delays."""

import time

import stomp
from ports import PATIENCE_S, PORTS
from stomp_client import Listener, connect


def bodies(listener, count):
    return [listener.message().body for _ in range(count)]


def a_selector_takes_what_it_wants_and_leaves_the_rest():
    connection, red = connect(stomp.Connection12)
    other, rest = connect(stomp.Connection12)
    connection.subscribe("/queue/colors", id="1", ack="auto", headers={"selector": "color = 'red' AND weight IS NOT NULL", "receipt": "s"})
    assert red.receipt() == "s"
    for number in range(6):
        headers = {"color": "red" if number % 2 else "blue", "weight": str(number)}
        connection.send("/queue/colors", str(number), headers=headers)
    assert bodies(red, 3) == ["1", "3", "5"]
    other.subscribe("/queue/colors", id="1", ack="auto")
    assert bodies(rest, 3) == ["0", "2", "4"]
    connection.disconnect()
    other.disconnect()


def numbers_in_headers_compare_as_numbers_when_asked():
    connection, listener = connect(stomp.Connection12)
    selector = "convert_string_expressions:weight > 5 AND kind LIKE 'a%' AND region IN ('eu', 'us')"
    connection.subscribe("/topic/weights", id="1", ack="auto", headers={"selector": selector, "receipt": "s"})
    assert listener.receipt() == "s"
    for weight, kind in ((10, "ab"), (4, "ab"), (10, "b"), (6, "a")):
        connection.send("/topic/weights", f"{weight}{kind}", headers={"weight": str(weight), "kind": kind, "region": "eu"})
    assert bodies(listener, 2) == ["10ab", "6a"]
    connection.disconnect()


def a_bad_selector_is_an_error():
    connection, listener = connect(stomp.Connection12)
    connection.subscribe("/queue/bad", id="1", ack="auto", headers={"selector": "color = "})
    error = listener.errors.get(timeout=PATIENCE_S)
    assert "invalid selector" in error.body, error.body


def composites_and_wildcards():
    connection, listener = connect(stomp.Connection12)
    connection.subscribe("/topic/wild.>,/queue/tame", id="1", ack="auto", headers={"receipt": "s"})
    assert listener.receipt() == "s"
    connection.send("/topic/wild.a.b,/queue/tame", "both")
    assert bodies(listener, 2) == ["both", "both"]
    connection.unsubscribe("1", headers={"receipt": "u"})
    assert listener.receipt() == "u"
    connection.disconnect()


def wildcards_in_names_of_queues():
    connection, listener = connect(stomp.Connection12)
    publisher, published = connect(stomp.Connection12)

    def send(queue, body):
        publisher.send(f"/queue/{queue}", body, receipt="p", headers={"persistent": "true"})
        assert published.receipt() == "p"

    send("price.eu.gold", "before")
    connection.subscribe("/queue/price.>", id="1", ack="client-individual", headers={"receipt": "s"})
    assert listener.receipt() == "s"
    before = listener.message()
    assert (before.body, before.headers["destination"]) == ("before", "/queue/price.eu.gold")
    connection.ack(before.headers["ack"], receipt="a")
    assert listener.receipt() == "a"
    connection.subscribe("/queue/price.*", id="2", ack="auto", headers={"receipt": "s"})
    assert listener.receipt() == "s"
    for queue in ("price.us.gold", "cost.us.gold", "price.us"):
        send(queue, queue)
    one = listener.message()
    assert (one.body, one.headers["subscription"]) == ("price.us.gold", "1"), "a queue that is made later"
    connection.ack(one.headers["ack"])
    shared = listener.message()
    assert shared.body == "price.us" and shared.headers["subscription"] in "12"
    if shared.headers["subscription"] == "1":
        connection.ack(shared.headers["ack"])
    for number in ("1", "2"):
        connection.unsubscribe(number, headers={"receipt": "u"})
        assert listener.receipt() == "u"
    send("price.us.silver", "nobody")
    connection.subscribe("/queue/price.us.silver", id="3", ack="auto")
    assert listener.message().headers["subscription"] == "3"
    connection.disconnect()
    publisher.disconnect()


def durable_subscriptions_of_clients():
    for header in ("activemq.subscriptionName", "durable-subscription-name"):
        name = header.split(".")[0]
        for round_number in range(2):
            connection, listener = connect_as("client-7")
            connection.subscribe(f"/topic/durable.{name}", id="1", ack="auto", headers={header: name, "receipt": "s"})
            assert listener.receipt() == "s"
            if round_number:
                assert listener.message().body == "while away"
            connection.disconnect(receipt="bye")
            assert listener.receipt() == "bye"
            publisher, _ = connect(stomp.Connection12)
            publisher.send(f"/topic/durable.{name}", "while away", receipt="p")
            assert _.receipt() == "p"
            publisher.disconnect()
        connection, listener = connect_as("client-7")
        connection.unsubscribe("1", headers={header: name, "receipt": "u"})
        assert listener.receipt() == "u"
        connection.subscribe(f"/topic/durable.{name}", id="1", ack="auto", headers={header: name})
        connection.send(f"/topic/durable.{name}", "fresh")
        assert listener.message().body == "fresh", "nothing of before the end"
        connection.unsubscribe("1", headers={header: name})
        connection.disconnect()


def connect_as(client):
    connection = stomp.Connection12([("127.0.0.1", PORTS["stomp"])])
    listener = Listener()
    connection.set_listener("", listener)
    connection.connect("guest", "guest", wait=True, headers={"client-id": client})
    return connection, listener


def delays_and_expiry():
    connection, listener = connect(stomp.Connection12)
    connection.subscribe("/queue/late", id="1", ack="auto")
    start = time.monotonic()
    connection.send("/queue/late", "late", headers={"AMQ_SCHEDULED_DELAY": "700"})
    connection.send("/queue/late", "now")
    assert bodies(listener, 2) == ["now", "late"]
    assert time.monotonic() - start >= 0.69
    connection.send("/queue/short", "gone", headers={"expires": str(int(time.time() * 1000) + 1)})
    connection.send("/queue/short", "stays", headers={"expires": str(int(time.time() * 1000) + 3_600_000)}, receipt="r")
    assert listener.receipt() == "r"
    time.sleep(0.05)
    connection.subscribe("/queue/short", id="2", ack="auto")
    assert listener.message().body == "stays"
    connection.disconnect()


def an_idle_consumer_is_not_starved():
    one, first = connect(stomp.Connection12)
    two, second = connect(stomp.Connection12)
    one.subscribe("/queue/shared", id="1", ack="client-individual", headers={"activemq.prefetchSize": "1"})
    for number in range(4):
        one.send("/queue/shared", str(number))
    held = first.message()
    two.subscribe("/queue/shared", id="1", ack="auto")
    assert bodies(second, 3) == ["1", "2", "3"]
    one.ack(held.headers["ack"])
    one.disconnect()
    two.disconnect()


def groups_travel():
    connection, listener = connect(stomp.Connection12)
    connection.subscribe("/queue/groups", id="1", ack="auto", headers={"selector": "JMSXGroupID = 'g' AND JMSPriority = 7"})
    connection.send("/queue/groups", "in a group", headers={"JMSXGroupID": "g", "priority": "7"})
    frame = listener.message()
    assert (frame.headers["JMSXGroupID"], frame.headers["priority"]) == ("g", "7")
    connection.disconnect()


def browsed(connection, listener, queue, selector=None):
    """What a browser shows, up to its end."""
    headers = {"browser": "true", "receipt": "b"} | ({"selector": selector} if selector else {})
    connection.subscribe(queue, id="browser", ack="auto", headers=headers)
    assert listener.receipt() == "b"
    shown = []
    while (frame := listener.message()).headers.get("browser") != "end":
        shown.append(frame.body)
    assert (frame.headers["subscription"], frame.body) == ("browser", "")
    connection.unsubscribe("browser", headers={"receipt": "u"})
    assert listener.receipt() == "u"
    return shown


def a_browser_shows_everything_and_takes_nothing():
    connection, listener = connect(stomp.Connection12)
    assert browsed(connection, listener, "/queue/browsed") == []
    everything = [str(number) for number in range(3_000)]
    for body in everything:
        kind = "even" if int(body) % 2 == 0 else "odd"
        connection.send("/queue/browsed", body, headers={"kind": kind, "persistent": "true"})
    connection.send("/queue/elsewhere", "x", receipt="all")
    assert listener.receipt() == "all"
    assert browsed(connection, listener, "/queue/browsed") == everything
    assert browsed(connection, listener, "/queue/browsed", "kind = 'even'") == everything[::2]
    connection.subscribe("/queue/browsed", id="1", ack="auto")
    assert bodies(listener, len(everything)) == everything
    connection.disconnect()


def another_selector_is_another_durable_subscription():
    publisher, published = connect(stomp.Connection12)
    for selector, expected in (("color = 'red'", ["red"]), ("color = 'blue'", ["blue"]), ("color = 'blue'", ["blue", "blue"])):
        connection, listener = connect_as("client-8")
        headers = {"activemq.subscriptionName": "changing", "selector": selector, "receipt": "s"}
        connection.subscribe("/topic/changing", id="1", ack="client-individual", headers=headers)
        assert listener.receipt() == "s"
        for color in ("red", "blue"):
            publisher.send("/topic/changing", color, headers={"color": color, "persistent": "true"}, receipt="p")
            assert published.receipt() == "p"
        assert bodies(listener, len(expected)) == expected, selector
        connection.disconnect(receipt="bye")
        assert listener.receipt() == "bye"
    publisher.disconnect()


if __name__ == "__main__":
    a_selector_takes_what_it_wants_and_leaves_the_rest()
    numbers_in_headers_compare_as_numbers_when_asked()
    a_bad_selector_is_an_error()
    composites_and_wildcards()
    wildcards_in_names_of_queues()
    durable_subscriptions_of_clients()
    delays_and_expiry()
    an_idle_consumer_is_not_starved()
    groups_travel()
    a_browser_shows_everything_and_takes_nothing()
    another_selector_is_another_durable_subscription()
