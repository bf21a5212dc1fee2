//! AMQP 0-9-1 clients of other languages.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{folder, is_there, java, python, run, run_against};
use crate::support::Broker;

/// A program that Debian installs.
fn system(program: &str) -> PathBuf {
    Path::new("/usr/bin").join(program)
}

#[test]
fn pika() {
    python("pika_client.py");
}

#[test]
fn dead_letters_that_nobody_takes() {
    python("letters_client.py");
}

#[test]
fn aio_pika() {
    python("aio_pika_client.py");
}

#[test]
fn celery() {
    python("celery_client.py");
}

#[test]
fn amqplib_for_node() {
    let modules = folder().join("node/node_modules/amqplib");
    run("amqplib", &[modules], Command::new("node").arg(folder().join("node/amqplib.mjs")));
}

#[test]
fn amqp091_go() {
    let program = folder().join("go/client");
    run("amqp091-go", std::slice::from_ref(&program), &mut Command::new(&program));
}

#[test]
fn rabbitmq_java_client() {
    let jar = folder().join("java/target/client.jar");
    run("RabbitMQ Java client", std::slice::from_ref(&jar), Command::new("java").arg("-jar").arg(&jar));
}

#[test]
fn spring_amqp() {
    let (jar, mut command) = java("java-spring", "spring.jar", "crossdock.Spring");
    run("Spring AMQP", &[jar], &mut command);
}

#[test]
fn perf_test() {
    let (jar, _) = java("java-perf-test", "perf-test-1.jar", "");
    if !is_there("PerfTest", &[jar]) {
        return;
    }
    let broker = Broker::start(&[]);
    let address = format!("amqp://guest:guest@127.0.0.1:{}", broker.port("amqp"));
    for options in [
        "--queue durable --auto-delete false --flag persistent --producers 2 --consumers 2 --confirm 100 --qos 50",
        "--quorum-queue --queue-pattern q-%d --queue-pattern-from 1 --queue-pattern-to 3 --multi-ack-every 10 --qos 50",
        "--type topic --exchange topics --routing-key a.b --queue-args x-message-ttl=60000,x-max-priority=5 --autoack",
    ] {
        let (_, mut command) = java("java-perf-test", "perf-test-1.jar", "com.rabbitmq.perf.PerfTest");
        command.args(["--uri", &address, "--time", "3", "--pmessages", "2000"]).args(options.split(' '));
        run_against(&broker, "PerfTest", &mut command);
    }
}

#[test]
fn bunny() {
    let program = folder().join("ruby/bunny_client.rb");
    run("bunny", &[system("ruby")], Command::new("ruby").arg(program));
}

#[test]
fn php_amqplib() {
    let needs = [system("php"), PathBuf::from("/usr/share/php/PhpAmqpLib/autoload.php")];
    run("php-amqplib", &needs, Command::new("php").arg(folder().join("php/client.php")));
}

#[test]
fn amqp_tools() {
    run("amqp-tools", &[system("amqp-consume")], &mut Command::new(folder().join("shell/amqp_tools.sh")));
}
