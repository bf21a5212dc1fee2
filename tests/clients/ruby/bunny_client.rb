# AMQP 0-9-1 through bunny: confirms, returns, pop, consumers, exchange to exchange bindings, headers, errors.
require "bunny"
require "json"

port = JSON.parse(ENV.fetch("CROSSDOCK_PORTS")).fetch("amqp")

def check(good, what)
  raise what unless good
end

def wait_for(what)
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 20
  until (result = yield)
    raise "waited 20 s for #{what}" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
    sleep 0.02
  end
  result
end

connection = Bunny.new(host: "127.0.0.1", port: port, user: "guest", password: "guest", connection_name: "bunny").start

channel = connection.create_channel
channel.confirm_select
queue = channel.queue("ruby", durable: true)
200.times { |n| queue.publish(n.to_s, persistent: true, headers: { "n" => n, "nested" => { "list" => [1, "two"] } }) }
check(channel.wait_for_confirms, "not confirmed")
check(queue.message_count == 200, "count #{queue.message_count}")

returned = nil
exchange = channel.direct("amq.direct")
exchange.on_return { |info, _, content| returned = [info.reply_code, info.reply_text, content] }
exchange.publish("back", routing_key: "nowhere", mandatory: true)
wait_for("the return") { returned }
check(returned == [312, "NO_ROUTE", "back"], "returned #{returned}")

seen = []
consumers = connection.create_channel
consumers.prefetch(20)
tag = nil
consumers.queue("ruby", durable: true).subscribe(manual_ack: true) do |delivery, properties, content|
  check(properties.headers["nested"] == { "list" => [1, "two"] }, "headers #{properties.headers}")
  tag = delivery.consumer_tag
  seen << content.to_i
  consumers.ack(delivery.delivery_tag, seen.size % 10 == 0) if seen.size % 10 == 0
end
wait_for("200 deliveries") { seen.size == 200 }
check(seen == (0...200).to_a, "order")
consumers.close

inner = channel.fanout("ruby-inner", auto_delete: true)
outer = channel.topic("ruby-outer", auto_delete: true)
inner.bind(outer, routing_key: "a.#")
temporary = channel.queue("", exclusive: true).bind(inner)
%w[a.b b.a a].each { |key| outer.publish(key, routing_key: key) }
channel.wait_for_confirms
check(Array.new(3) { temporary.pop.last } == ["a.b", "a", nil], "exchange to exchange")
inner.unbind(outer, routing_key: "a.#")

cancelled = false
watching = connection.create_channel
doomed = watching.queue("ruby-doomed")
doomed.subscribe_with(Bunny::Consumer.new(watching, doomed).tap { |consumer| consumer.on_cancellation { cancelled = true } })
channel.queue_delete("ruby-doomed")
wait_for("the cancellation") { cancelled }

{
  Bunny::NotFound => ->(ch) { ch.queue_declare("missing", passive: true) },
  Bunny::PreconditionFailed => ->(ch) { ch.queue_declare("ruby", durable: false) },
  Bunny::AccessRefused => ->(ch) { ch.exchange_declare("amq.mine", "direct") },
}.each do |error, declare|
  begin
    declare.call(connection.create_channel)
    raise "no #{error}"
  rescue error
  end
end
connection.close
