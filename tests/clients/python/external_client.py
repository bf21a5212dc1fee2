"""SASL EXTERNAL through pika: who the client certificate names is who logs in, and nobody else."""

import os
import ssl

import pika
from pika.exceptions import AMQPConnectionError
from ports import PORTS

FOLDER = os.environ["CROSSDOCK_CERTIFICATES"]
IS_KNOWN = os.environ["CROSSDOCK_USER_IS_KNOWN"] == "1"


def parameters(has_certificate):
    context = ssl.create_default_context(cafile=f"{FOLDER}/ca.pem")
    if has_certificate:
        context.load_cert_chain(f"{FOLDER}/client.pem", f"{FOLDER}/client.key")
    return pika.ConnectionParameters(
        "localhost",
        PORTS["amqps"],
        ssl_options=pika.SSLOptions(context, "localhost"),
        credentials=pika.credentials.ExternalCredentials(),
    )


def refusal(has_certificate):
    """What pika says of a connection that is not opened."""
    try:
        pika.BlockingConnection(parameters(has_certificate))
    except AMQPConnectionError as error:
        return repr(error)
    raise AssertionError("it is let in")


def the_certificate_is_the_login():
    connection = pika.BlockingConnection(parameters(True))
    channel = connection.channel()
    channel.queue_declare("external", durable=True)
    channel.confirm_delivery()
    named = pika.BasicProperties(user_id="crossdock-client")
    channel.basic_publish("", "external", b"hello", named)
    _, properties, body = channel.basic_get("external", auto_ack=True)
    assert (properties.user_id, body) == ("crossdock-client", b"hello")
    channel.basic_publish("", "external", b"hello", pika.BasicProperties(user_id="crossdock-client"))
    try:
        channel.queue_declare("forbidden", durable=True)
    except pika.exceptions.ChannelClosedByBroker as error:
        text = "ACCESS_REFUSED - configure access to queue 'forbidden' in vhost '/' refused for user 'crossdock-client'"
        assert (error.reply_code, error.reply_text) == (403, text), error
    else:
        raise AssertionError("permissions are those of the user")
    connection.close()


if IS_KNOWN:
    the_certificate_is_the_login()
else:
    told = refusal(True)
    text = "(403) 'ACCESS_REFUSED - Login was refused using authentication mechanism EXTERNAL. For details see the broker logfile.'"
    assert text in told, told
# Who shows no certificate is not offered EXTERNAL.
assert "EXTERNAL" in refusal(False)
