"""WebSocket through the library websockets: handshakes, fragments, pings, and the ends that it sees."""

import asyncio
import os
import ssl

from ports import PATIENCE_S, PORTS
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

AUTHORITY = os.environ.get("CROSSDOCK_CA")
LISTENER = os.environ.get("CROSSDOCK_LISTENER", "wss" if AUTHORITY else "ws")
BASE = f"{'wss' if AUTHORITY else 'ws'}://localhost:{PORTS[LISTENER]}"
CONNECT = "CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\n\n\0"


def opened(path, *subprotocols, **more):
    context = ssl.create_default_context(cafile=AUTHORITY) if AUTHORITY else None
    return connect(BASE + path, subprotocols=list(subprotocols) or None, ssl=context, max_size=None, **more)


async def received(socket):
    return await asyncio.wait_for(socket.recv(), PATIENCE_S)


async def fragments_and_pings():
    """A large message in pieces, with pings between, comes back whole: as text, since it is one."""
    async with opened("/stomp", "v12.stomp", "v11.stomp", compression="deflate") as socket:
        assert socket.subprotocol == "v12.stomp" and "Sec-WebSocket-Extensions" not in socket.response.headers
        await socket.send(CONNECT)
        assert (await received(socket)).startswith("CONNECTED\n")
        await socket.send("SUBSCRIBE\nid:1\ndestination:/queue/fragments\n\n\0")
        body = "Grüße, 世界 " * 20_000

        async def pieces():
            yield "SEND\ndestination:/queue/fragments\n\n"
            for start in range(0, len(body), 997):
                yield body[start : start + 997]
                if start % 7 == 0:
                    await (await socket.ping())
            yield "\0"

        await socket.send(pieces())
        frame = await received(socket)
        assert isinstance(frame, str) and frame.endswith(f"\n\n{body}\0"), frame[:300]


async def ends():
    for message, code in [("text", 1003), (b"\xff" * 10, 1002)]:
        async with opened("/mqtt", "mqtt") as socket:
            await socket.send(message)
            try:
                raise AssertionError(await received(socket))
            except ConnectionClosed as closed:
                assert closed.rcvd.code == code, closed
    socket = await opened("/amqp", "amqp")
    await socket.send(b"AMQP\x00\x00\x09\x01")
    assert (await received(socket))[:3] == b"\x01\0\0", "connection.start"
    await socket.close(4001, "enough")
    assert socket.close_code == 4001


async def refusals():
    for path, subprotocols, more, status in [
        ("/mqtt", [], {}, 400),
        ("/mqtt", ["v12.stomp"], {}, 400),
        ("/nowhere", ["mqtt"], {}, 404),
        ("/mqtt", ["mqtt"], {"origin": "https://evil.example"}, 403),
    ]:
        try:
            await opened(path, *subprotocols, **more)
            raise AssertionError(f"{path} {subprotocols} {more} is let in")
        except InvalidStatus as refused:
            assert refused.response.status_code == status, refused


async def main():
    await fragments_and_pings()
    await ends()
    await refusals()


asyncio.run(main())
