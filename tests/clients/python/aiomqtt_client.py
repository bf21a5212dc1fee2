"""MQTT 3.1.1 and 5 through aiomqtt."""

import asyncio

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from entrance import for_aiomqtt
from ports import PATIENCE_S


def client(version, name, **more):
    return aiomqtt.Client(identifier=name, protocol=version, **for_aiomqtt(), **more)


async def each_qos(version):
    label = f"aio{version.value}"
    will = aiomqtt.Will(f"{label}/will", b"gone", qos=1)
    async with client(version, f"{label}-reader") as reader, client(version, f"{label}-writer", will=will) as writer:
        await reader.subscribe(f"{label}/#", qos=2)
        for qos in range(3):
            await writer.publish(f"{label}/{qos}", payload=f"m{qos}", qos=qos)
        seen = []
        async with asyncio.timeout(PATIENCE_S):
            async for message in reader.messages:
                seen.append((str(message.topic), message.payload, message.qos))
                if len(seen) == 3:
                    break
        assert seen == [(f"{label}/{qos}", f"m{qos}".encode(), qos) for qos in range(3)], seen


async def properties():
    version = aiomqtt.ProtocolVersion.V5
    sent = Properties(PacketTypes.PUBLISH)
    sent.ContentType, sent.UserProperty, sent.MessageExpiryInterval = "text/plain", [("a", "1"), ("a", "2")], 1000
    async with client(version, "aio-properties") as one:
        await one.subscribe("aio/properties", qos=1)
        await one.publish("aio/properties", b"m", qos=1, properties=sent)
        async with asyncio.timeout(PATIENCE_S):
            message = await anext(aiter(one.messages))
        assert message.properties.ContentType == "text/plain"
        assert message.properties.UserProperty == [("a", "1"), ("a", "2")]
        assert 990 < message.properties.MessageExpiryInterval <= 1000


async def main():
    for version in [aiomqtt.ProtocolVersion.V31, aiomqtt.ProtocolVersion.V311, aiomqtt.ProtocolVersion.V5]:
        await each_qos(version)
    await properties()


asyncio.run(main())
