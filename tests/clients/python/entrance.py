"""How MQTT clients come in, as the environment says.

CROSSDOCK_LISTENER is the listener's name (`mqtt`, or `mqtts` if there is a CROSSDOCK_CA, which is whom to trust); CROSSDOCK_WEBSOCKET
makes it a WebSocket; with CROSSDOCK_CLIENT_CERT and CROSSDOCK_CLIENT_KEY a certificate takes the place of name and password.
"""

import os
import ssl

import aiomqtt
from ports import PORTS

AUTHORITY = os.environ.get("CROSSDOCK_CA")
CERTIFICATE = os.environ.get("CROSSDOCK_CLIENT_CERT")
KEY = os.environ.get("CROSSDOCK_CLIENT_KEY")
LISTENER = os.environ.get("CROSSDOCK_LISTENER", "mqtts" if AUTHORITY else "mqtt")
WEBSOCKET_PATH = "/mqtt"
TRANSPORT = "websockets" if "CROSSDOCK_WEBSOCKET" in os.environ else "tcp"
HOST = "localhost" if AUTHORITY else "127.0.0.1"
CREDENTIALS = {} if CERTIFICATE else {"username": "guest", "password": "guest"}


def port():
    return PORTS[LISTENER]


def tls_context():
    """For clients that take a context of the standard library; nothing without TLS."""
    if not AUTHORITY:
        return None
    context = ssl.create_default_context(cafile=AUTHORITY)
    if CERTIFICATE:
        context.load_cert_chain(CERTIFICATE, KEY)
    return context


def prepare(paho):
    """Of a paho client that was made with TRANSPORT."""
    if CREDENTIALS:
        paho.username_pw_set("guest", "guest")
    if AUTHORITY:
        paho.tls_set(ca_certs=AUTHORITY, certfile=CERTIFICATE, keyfile=KEY)
    if TRANSPORT == "websockets":
        paho.ws_set_options(path=WEBSOCKET_PATH)


def for_aiomqtt():
    """What an aiomqtt client is made with, beside its name."""
    more = {"tls_params": aiomqtt.TLSParameters(AUTHORITY, CERTIFICATE, KEY)} if AUTHORITY else {}
    return {"hostname": HOST, "port": port(), "transport": TRANSPORT, "websocket_path": WEBSOCKET_PATH} | CREDENTIALS | more
