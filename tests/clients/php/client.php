<?php
// AMQP 0-9-1 through php-amqplib: confirms, returns, get, consume, tables, transactions, errors.
require_once '/usr/share/php/PhpAmqpLib/autoload.php';

use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Exception\AMQPProtocolChannelException;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

function check(bool $good, string $what): void
{
    if (!$good) {
        throw new Exception($what);
    }
}

$port = json_decode(getenv('CROSSDOCK_PORTS'), true)['amqp'];
$connection = new AMQPStreamConnection('127.0.0.1', $port, 'guest', 'guest');

$channel = $connection->channel();
$channel->confirm_select();
$confirmed = 0;
$channel->set_ack_handler(function () use (&$confirmed) {
    $confirmed++;
});
$channel->queue_declare('php', false, true, false, false, false, new AMQPTable(['x-max-priority' => 5]));
$headers = ['text' => 'x', 'int' => 7, 'nested' => ['list' => [1, true, null]]];
for ($n = 0; $n < 200; $n++) {
    $properties = ['delivery_mode' => 2, 'application_headers' => new AMQPTable($headers), 'message_id' => "$n"];
    $channel->basic_publish(new AMQPMessage("$n", $properties), '', 'php');
}
$channel->wait_for_pending_acks(20);
check($confirmed === 200, "confirmed $confirmed");

$returned = null;
$channel->set_return_listener(function ($code, $text, $exchange, $key, $message) use (&$returned) {
    $returned = [$code, $text, $key, $message->getBody()];
});
$channel->basic_publish(new AMQPMessage('back'), 'amq.direct', 'nowhere', true);
$channel->wait_for_pending_acks_returns(20);
check($returned === [312, 'NO_ROUTE', 'nowhere', 'back'], 'returned ' . json_encode($returned));

$seen = [];
$consumer = $connection->channel();
$consumer->basic_qos(0, 20, false);
$consumer->basic_consume('php', '', false, false, false, false, function ($message) use (&$seen, $headers) {
    check($message->get('application_headers')->getNativeData() == $headers, 'headers');
    $seen[] = (int) $message->getBody();
    $message->ack();
});
while (count($seen) < 200) {
    $consumer->wait(null, false, 20);
}
check($seen === range(0, 199), 'order');
$consumer->close();

$transactions = $connection->channel();
$transactions->tx_select();
$transactions->basic_publish(new AMQPMessage('undone'), '', 'php');
$transactions->tx_rollback();
$transactions->basic_publish(new AMQPMessage('kept'), '', 'php');
$transactions->tx_commit();
check($transactions->basic_get('php', true)->getBody() === 'kept', 'transaction');
check($transactions->basic_get('php', true) === null, 'rolled back');
$transactions->close();

$errors = [
    404 => fn ($channel) => $channel->queue_declare('missing', true),
    406 => fn ($channel) => $channel->queue_declare('php', false, true, false, false, false, new AMQPTable(['x-max-priority' => 6])),
    403 => fn ($channel) => $channel->exchange_declare('amq.mine', 'direct'),
];
foreach ($errors as $code => $ask) {
    try {
        $ask($connection->channel());
    } catch (AMQPProtocolChannelException $error) {
        check($error->amqp_reply_code === $code, "$code: {$error->getMessage()}");
        continue;
    }
    throw new Exception("no $code");
}
$connection->close();
