"""MQTT 3.1.1 and 5 through gmqtt."""

import asyncio
import ssl

import gmqtt
from entrance import CREDENTIALS, HOST, port, tls_context
from ports import PATIENCE_S


async def connected(name, version, received):
    client = gmqtt.Client(name, clean_session=True)
    if CREDENTIALS:
        client.set_auth_credentials(CREDENTIALS["username"], CREDENTIALS["password"])
    subscribed = asyncio.Event()

    async def heard(_client, topic, payload, qos, properties):
        await received.put((topic, payload, qos, properties))
        return 0

    client.on_message = heard
    client.on_subscribe = lambda *_: subscribed.set()
    await client.connect(HOST, port(), ssl=tls_context() or False, version=version)
    return client, subscribed


async def left(client):
    try:
        await client.disconnect()
    except ssl.SSLError as error:
        # The last acknowledgement came after the client's goodbye, which asyncio takes for a failure.
        if error.reason != "APPLICATION_DATA_AFTER_CLOSE_NOTIFY":
            raise


async def each_qos(version):
    received = asyncio.Queue()
    label = f"gmqtt{version}"
    reader, subscribed = await connected(f"{label}-reader", version, received)
    writer, _ = await connected(f"{label}-writer", version, asyncio.Queue())
    reader.subscribe(f"{label}/#", qos=2)
    await asyncio.wait_for(subscribed.wait(), PATIENCE_S)
    more = {"user_property": ("k", "v"), "content_type": "text/plain"} if version == gmqtt.constants.MQTTv50 else {}
    for qos in range(3):
        writer.publish(f"{label}/{qos}", f"m{qos}", qos=qos, **more)
        topic, payload, seen, properties = await asyncio.wait_for(received.get(), PATIENCE_S)
        assert (topic, payload, seen) == (f"{label}/{qos}", f"m{qos}".encode(), qos)
        if more:
            assert properties["user_property"] == [("k", "v")] and properties["content_type"] == ["text/plain"], properties
    await left(reader)
    await left(writer)


async def main():
    for version in [gmqtt.constants.MQTTv311, gmqtt.constants.MQTTv50]:
        await each_qos(version)


asyncio.run(main())
