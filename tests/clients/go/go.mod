module crossdock/client

go 1.26

require (
	github.com/michaelklishin/rabbit-hole/v3 v3.2.0
	github.com/rabbitmq/amqp091-go v1.16.0
)
