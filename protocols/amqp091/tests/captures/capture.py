"""Records what pika sends. A scripted broker answers just enough; the client's bytes go to pika-*.bin.

pip install pika pamqp; python capture.py
"""
import pathlib, socket, threading
import pika
from pamqp import commands as c, exceptions, frame, header
from pamqp.body import ContentBody

HERE = pathlib.Path(__file__).parent
BODY = b"hello"


def broker(listener, record, props):
    sock, _ = listener.accept()
    buffer = b""
    tag = 0

    def send(channel, *frames):
        for f in frames:
            sock.sendall(frame.marshal(f, channel))

    while True:
        data = sock.recv(65536)
        if not data:
            return
        record += data
        buffer += data
        if buffer.startswith(b"AMQP") and len(buffer) >= 8:
            buffer = buffer[8:]
            send(0, c.Connection.Start(server_properties=props, mechanisms="PLAIN AMQPLAIN"))
        while buffer:
            try:
                used, channel, value = frame.unmarshal(buffer)
            except exceptions.UnmarshalingException:
                break
            buffer = buffer[used:]
            match value:
                case c.Connection.StartOk(): send(0, c.Connection.Tune(2047, 131072, 60))
                case c.Connection.Open(): send(0, c.Connection.OpenOk())
                case c.Connection.Close(): send(0, c.Connection.CloseOk()); sock.close(); return
                case c.Channel.Open(): send(channel, c.Channel.OpenOk())
                case c.Channel.Close(): send(channel, c.Channel.CloseOk())
                case c.Exchange.Declare(): send(channel, c.Exchange.DeclareOk())
                case c.Exchange.Bind(): send(channel, c.Exchange.BindOk())
                case c.Exchange.Delete(): send(channel, c.Exchange.DeleteOk())
                case c.Queue.Declare(): send(channel, c.Queue.DeclareOk(value.queue or "amq.gen-1", 0, 0))
                case c.Queue.Bind(): send(channel, c.Queue.BindOk())
                case c.Queue.Unbind(): send(channel, c.Queue.UnbindOk())
                case c.Queue.Purge(): send(channel, c.Queue.PurgeOk(3))
                case c.Queue.Delete(): send(channel, c.Queue.DeleteOk(2))
                case c.Confirm.Select(): send(channel, c.Confirm.SelectOk())
                case c.Tx.Select(): send(channel, c.Tx.SelectOk())
                case c.Tx.Commit(): send(channel, c.Tx.CommitOk())
                case c.Tx.Rollback(): send(channel, c.Tx.RollbackOk())
                case c.Basic.Qos(): send(channel, c.Basic.QosOk())
                case c.Basic.Cancel(): send(channel, c.Basic.CancelOk(value.consumer_tag))
                case c.Basic.Consume(): send(channel, c.Basic.ConsumeOk(value.consumer_tag))
                case c.Basic.Recover(): send(channel, c.Basic.RecoverOk())
                case c.Basic.Get():
                    send(channel, c.Basic.GetOk(1, False, "", "q", 0),
                         header.ContentHeader(body_size=len(BODY), properties=c.Basic.Properties()))
                    send(channel, ContentBody(BODY))
                case header.ContentHeader():
                    if channel == 1:
                        tag += 1
                        send(channel, c.Basic.Ack(tag, False))


def capture(name, act):
    listener = socket.create_server(("127.0.0.1", 0))
    record = bytearray()
    caps = {k: True for k in ("publisher_confirms", "basic.nack", "consumer_cancel_notify", "connection.blocked",
                              "authentication_failure_close", "exchange_exchange_bindings")}
    thread = threading.Thread(target=broker, args=(listener, record, {"capabilities": caps, "product": "RabbitMQ"}))
    thread.start()
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", listener.getsockname()[1]))
    act(connection)
    connection.close()
    thread.join()
    (HERE / f"{name}.bin").write_bytes(record)
    print(name, len(record))


def publisher(connection):
    ch = connection.channel()
    ch.confirm_delivery()
    ch.exchange_declare("orders", "topic", durable=True, arguments={"alternate-exchange": "lost"})
    ch.queue_declare("q", durable=True, arguments={"x-message-ttl": 60000, "x-dead-letter-exchange": "dlx"})
    ch.queue_bind("q", "orders", "eu.#")
    ch.basic_publish("orders", "eu.de", b"hello", pika.BasicProperties(
        content_type="text/plain", delivery_mode=2, priority=5, expiration="60000", message_id="m-1", timestamp=1700000000,
        headers={"a": 1, "b": "text", "c": [1, "x"], "d": {"e": None, "f": True}, "g": 2**40}), mandatory=True)
    ch.basic_publish("orders", "eu.fr", b"")
    ch.basic_publish("", "q", bytes(range(256)) * 33, pika.BasicProperties(correlation_id="c", reply_to="answers.to.my.message"))
    ch.close()


def consumer(connection):
    ch = connection.channel()
    connection.channel()
    name = ch.queue_declare("", exclusive=True).method.queue
    ch.basic_qos(prefetch_count=10)
    ch.queue_bind(name, "amq.topic", "k")
    ch.basic_consume(name, lambda *_: None, consumer_tag="tag-1", arguments={"x-priority": 7})
    ch.basic_get(name, auto_ack=True)
    ch.basic_cancel("tag-1")
    ch.basic_recover(requeue=True)
    ch.queue_unbind(name, "amq.topic", "k")
    ch.exchange_bind("a", "b", "k")
    ch.queue_purge(name)
    ch.queue_delete(name, if_unused=True)
    ch.exchange_delete("orders", if_unused=True)
    ch.close()
    tx = connection.channel()
    tx.tx_select(); tx.tx_commit(); tx.tx_rollback()


capture("pika-publisher", publisher)
capture("pika-consumer", consumer)
