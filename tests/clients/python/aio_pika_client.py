"""AMQP 0-9-1 through aio-pika: robust connections, confirms, request and reply, transactions, priorities, queue iterators, errors."""

import asyncio

import aio_pika
from aio_pika.patterns import RPC
from ports import PORTS

URL = f"amqp://guest:guest@127.0.0.1:{PORTS['amqp']}/"


async def confirms_and_order(connection):
    channel = await connection.channel(publisher_confirms=True)
    await channel.set_qos(prefetch_count=20)
    queue = await channel.declare_queue("aio", durable=True)
    persistent = aio_pika.DeliveryMode.PERSISTENT
    for number in range(200):
        message = aio_pika.Message(str(number).encode(), delivery_mode=persistent, headers={"n": number})
        await channel.default_exchange.publish(message, routing_key="aio")
    seen = []
    async with queue.iterator() as messages:
        async for message in messages:
            async with message.process():
                assert message.headers["n"] == int(message.body)
                seen.append(int(message.body))
            if len(seen) == 200:
                break
    assert seen == list(range(200)), seen
    await channel.close()


async def mandatory_messages_come_back(connection):
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    try:
        await channel.default_exchange.publish(aio_pika.Message(b"x"), routing_key="nowhere")
    except aio_pika.exceptions.DeliveryError as error:
        assert error.frame is not None
    else:
        raise AssertionError("not returned")
    await channel.close()


async def request_and_reply(connection):
    async with connection.channel() as channel:
        rpc = await RPC.create(channel)

        async def multiply(*, x, y):
            return x * y

        async def fail():
            raise ValueError("asked for")

        await rpc.register("multiply", multiply, auto_delete=True)
        await rpc.register("fail", fail, auto_delete=True)
        results = await asyncio.gather(*[rpc.proxy.multiply(x=number, y=2) for number in range(50)])
        assert results == [2 * number for number in range(50)]
        try:
            await rpc.proxy.fail()
        except ValueError as error:
            assert str(error) == "asked for"
        else:
            raise AssertionError("no error")


async def direct_replies(connection):
    async with connection.channel() as server, connection.channel() as client:
        questions = await server.declare_queue("questions", auto_delete=True)

        async def answer(message):
            reply = aio_pika.Message(message.body.upper(), correlation_id=message.correlation_id)
            await server.default_exchange.publish(reply, routing_key=message.reply_to)

        await questions.consume(answer, no_ack=True)
        answered = asyncio.Queue()
        replies = await client.get_queue("amq.rabbitmq.reply-to", ensure=False)
        await replies.consume(answered.put, no_ack=True)
        question = aio_pika.Message(b"who", reply_to="amq.rabbitmq.reply-to", correlation_id="7")
        await client.default_exchange.publish(question, routing_key="questions")
        reply = await asyncio.wait_for(answered.get(), 10)
        assert (reply.body, reply.correlation_id) == (b"WHO", "7")


async def transactions(connection):
    async with connection.channel(publisher_confirms=False) as channel:
        queue = await channel.declare_queue("transactions", exclusive=True)
        async with channel.transaction():
            await channel.default_exchange.publish(aio_pika.Message(b"kept"), routing_key=queue.name)
        try:
            async with channel.transaction():
                await channel.default_exchange.publish(aio_pika.Message(b"undone"), routing_key=queue.name)
                raise KeyError("roll back")
        except KeyError:
            pass
        message = await queue.get()
        assert message.body == b"kept"
        await message.ack()
        assert await queue.get(fail=False) is None


async def priorities(connection):
    async with connection.channel() as channel:
        queue = await channel.declare_queue("priorities", exclusive=True, arguments={"x-max-priority": 9})
        for priority in [1, 9, 5, 9, 0]:
            message = aio_pika.Message(str(priority).encode(), priority=priority)
            await channel.default_exchange.publish(message, routing_key=queue.name)
        order = [int((await queue.get(no_ack=True)).body) for _ in range(5)]
        assert order == [9, 9, 5, 1, 0], order


async def exchanges(connection):
    async with connection.channel() as channel:
        headers = await channel.declare_exchange("aio-headers", aio_pika.ExchangeType.HEADERS, auto_delete=True)
        delayed = await channel.declare_exchange(
            "aio-delayed", aio_pika.ExchangeType.X_DELAYED_MESSAGE, auto_delete=True, arguments={"x-delayed-type": "direct"}
        )
        queue = await channel.declare_queue("", exclusive=True)
        await queue.bind(headers, arguments={"x-match": "all", "a": 1, "b": "x"})
        await queue.bind(delayed, "k")
        await headers.publish(aio_pika.Message(b"no", headers={"a": 1}), "")
        await delayed.publish(aio_pika.Message(b"late", headers={"x-delay": 300}), "k")
        await headers.publish(aio_pika.Message(b"yes", headers={"a": 1, "b": "x", "c": 0}), "")
        bodies = []
        async with queue.iterator(no_ack=True) as messages:
            async for message in messages:
                bodies.append(message.body)
                if len(bodies) == 2:
                    break
        assert bodies == [b"yes", b"late"], bodies


async def errors(connection):
    for declare, error in [
        (lambda channel: channel.declare_queue("missing", passive=True), aio_pika.exceptions.ChannelNotFoundEntity),
        (lambda channel: channel.declare_queue("aio", durable=False), aio_pika.exceptions.ChannelPreconditionFailed),
        (lambda channel: channel.get_exchange("missing"), aio_pika.exceptions.ChannelNotFoundEntity),
    ]:
        channel = await connection.channel()
        try:
            await declare(channel)
        except error:
            continue
        raise AssertionError(f"no {error}")


async def secrets_can_be_renewed(connection):
    await connection.update_secret("another secret", reason="it is about to expire")


async def main():
    connection = await aio_pika.connect_robust(URL, client_properties={"connection_name": "aio"})
    async with connection:
        for behaviour in [
            confirms_and_order,
            mandatory_messages_come_back,
            request_and_reply,
            direct_replies,
            transactions,
            priorities,
            exchanges,
            errors,
            secrets_can_be_renewed,
        ]:
            await asyncio.wait_for(behaviour(connection), 60)


asyncio.run(main())
