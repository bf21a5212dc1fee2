"""STOMP 1.0, 1.1 and 1.2 through stomp.py."""

import queue

import stomp
from ports import PATIENCE_S, PORTS

CONNECTIONS = (stomp.Connection10, stomp.Connection11, stomp.Connection12)


class Listener(stomp.ConnectionListener):
    def __init__(self):
        self.messages, self.receipts, self.errors = queue.Queue(), queue.Queue(), queue.Queue()

    def on_message(self, frame):
        self.messages.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_error(self, frame):
        self.errors.put(frame)

    def message(self):
        return self.messages.get(timeout=PATIENCE_S)

    def receipt(self):
        return self.receipts.get(timeout=PATIENCE_S)


def connect(kind, **more):
    connection = kind([("127.0.0.1", PORTS["stomp"])], **more)
    listener = Listener()
    connection.set_listener("", listener)
    connection.connect("guest", "guest", wait=True)
    return connection, listener


def acknowledge(kind, connection, frame):
    if kind is stomp.Connection10:
        connection.ack(frame.headers["message-id"])
    elif kind is stomp.Connection11:
        connection.ack(frame.headers["message-id"], frame.headers["subscription"])
    else:
        connection.ack(frame.headers["ack"])


def send_receive_and_acknowledge(kind):
    destination = f"/queue/{kind.__name__}"
    for mode in ("auto", "client", "client-individual"):
        if mode == "client-individual" and kind is stomp.Connection10:
            continue
        connection, listener = connect(kind)
        for n in range(10):
            connection.send(destination, str(n), receipt=f"r{n}", headers={"persistent": "true", "x": "a:b\\c" if n else "1"})
            assert listener.receipt() == f"r{n}"
        connection.subscribe(destination, id="1", ack=mode)
        frames = [listener.message() for _ in range(10)]
        assert [f.body for f in frames] == [str(n) for n in range(10)]
        assert all(f.headers["destination"] == destination for f in frames)
        if kind is not stomp.Connection10:
            assert frames[1].headers["x"] == "a:b\\c", frames[1].headers
        if mode == "client":
            acknowledge(kind, connection, frames[-1])
        elif mode == "client-individual":
            for frame in frames:
                acknowledge(kind, connection, frame)
        connection.disconnect(receipt="bye")
        connection, listener = connect(kind)
        connection.subscribe(destination, id="1", ack="auto")
        connection.send(destination, "last")
        assert listener.message().body == "last", "nothing was left"
        connection.disconnect()


def topics_and_unsubscribe():
    one, heard_by_one = connect(stomp.Connection12)
    two, heard_by_two = connect(stomp.Connection12)
    for connection, listener in ((one, heard_by_one), (two, heard_by_two)):
        connection.subscribe("/topic/prices.*", id="p", ack="auto", headers={"receipt": "sub"})
        assert listener.receipt() == "sub"
    one.send("/topic/prices.oil", "42", content_type="text/plain")
    for listener in (heard_by_one, heard_by_two):
        frame = listener.message()
        assert (frame.body, frame.headers["content-type"]) == ("42", "text/plain")
    one.unsubscribe("p", headers={"receipt": "unsub"})
    assert heard_by_one.receipt() == "unsub"
    two.send("/topic/prices.gas", "7")
    assert heard_by_two.message().body == "7"
    assert heard_by_one.messages.empty()
    one.disconnect()
    two.disconnect()


def a_negative_acknowledgement_gives_it_back():
    connection, listener = connect(stomp.Connection12)
    connection.send("/queue/nacked", "m", persistent="true")
    connection.subscribe("/queue/nacked", id="1", ack="client-individual")
    connection.nack(listener.message().headers["ack"])
    again = listener.message()
    assert again.headers["redelivered"] == "true"
    connection.ack(again.headers["ack"])
    connection.disconnect(receipt="bye")


def a_transaction_happens_at_its_commit():
    connection, listener = connect(stomp.Connection12)
    connection.subscribe("/queue/transactions", id="1", ack="auto")
    aborted = connection.begin()
    connection.send("/queue/transactions", "aborted", transaction=aborted)
    connection.abort(aborted)
    committed = connection.begin()
    connection.send("/queue/transactions", "committed", transaction=committed)
    connection.send("/queue/transactions", "at once")
    connection.commit(committed)
    assert [listener.message().body for _ in range(2)] == ["at once", "committed"]
    connection.disconnect()


def errors_are_explained():
    connection, listener = connect(stomp.Connection12)
    connection.send("nowhere", "m", receipt="lost")
    error = listener.errors.get(timeout=PATIENCE_S)
    assert error.headers["receipt-id"] == "lost" and error.body, error.headers


def bodies_may_hold_anything():
    connection, listener = connect(stomp.Connection12, auto_decode=False)
    body = bytes(range(256)) * 100
    connection.subscribe("/queue/binary", id="1", ack="auto")
    connection.send("/queue/binary", body, content_type="application/octet-stream")
    assert listener.message().body == body
    connection.disconnect()


def heart_beats_keep_a_silent_connection():
    connection, listener = connect(stomp.Connection12, heartbeats=(200, 200))
    connection.subscribe("/queue/beats", id="1", ack="auto")
    other, _ = connect(stomp.Connection12)
    import time

    time.sleep(1.5)
    other.send("/queue/beats", "alive")
    assert listener.message().body == "alive"
    connection.disconnect()
    other.disconnect()


if __name__ == "__main__":
    for kind in CONNECTIONS:
        send_receive_and_acknowledge(kind)
    topics_and_unsubscribe()
    a_negative_acknowledgement_gives_it_back()
    a_transaction_happens_at_its_commit()
    errors_are_explained()
    bodies_may_hold_anything()
    heart_beats_keep_a_silent_connection()
