"""Celery with SQS as its broker: tasks, retries, a countdown, and priorities of queues, on queues that it makes itself and on queues that
are given (predefined_queues); and kombu's fanout exchanges, which are SNS topics."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

import boto3
from celery import Celery
from kombu import Connection, Consumer, Exchange, Queue
from ports import PORTS, wait_for

KEY, SECRET = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
BROKER = f"sqs://{KEY}:{urllib.parse.quote(SECRET, safe='')}@127.0.0.1:{PORTS['aws']}"
OPTIONS = {"region": os.environ["AWS_REGION"], "is_secure": False, "wait_time_seconds": 5, "visibility_timeout": 30}
PREDEFINED = os.environ.get("PREDEFINED")
if "RESULTS" not in os.environ:
    os.environ["RESULTS"] = tempfile.mkdtemp(prefix="celery-sqs-")
RESULTS = os.environ["RESULTS"]

app = Celery("celery_sqs", broker=BROKER)
app.conf.update(
    broker_transport_options={**OPTIONS, "predefined_queues": {"given": {"url": PREDEFINED}}} if PREDEFINED else OPTIONS,
    task_default_queue="given" if PREDEFINED else "made",
    worker_enable_remote_control=False,
    task_acks_late=True,
    broker_connection_retry_on_startup=True,
)


def write(name, text):
    with open(os.path.join(RESULTS, name + ".part"), "w") as file:
        file.write(text)
    os.rename(file.name, os.path.join(RESULTS, name))


def result(name):
    path = os.path.join(RESULTS, name)
    wait_for(name, lambda: os.path.exists(path))
    with open(path) as file:
        return file.read()


@app.task
def add(name, x, y):
    write(name, str(x + y))


@app.task(bind=True, max_retries=3)
def stubborn(self, name):
    if self.request.retries < 2:
        raise self.retry(countdown=0.2)
    write(name, str(self.request.retries))


def worker():
    command = [sys.executable, "-m", "celery", "--app", "celery_sqs", "worker", "--loglevel", "warning", "--pool", "solo"]
    command += ["--without-mingle", "--without-gossip", "--without-heartbeat"]
    return subprocess.Popen(command, cwd=os.path.dirname(os.path.abspath(__file__)), start_new_session=True)


def work(prefix):
    running = worker()
    try:
        for number in range(20):
            add.delay(f"{prefix}-{number}", number, number)
        stubborn.delay(f"{prefix}-stubborn")
        add.apply_async((f"{prefix}-later", 4, 4), countdown=1)
        assert [result(f"{prefix}-{number}") for number in range(20)] == [str(2 * number) for number in range(20)]
        assert result(f"{prefix}-stubborn") == "2" and result(f"{prefix}-later") == "8"
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        url = PREDEFINED or sqs.get_queue_url(QueueName="made")["QueueUrl"]
        left = lambda: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()
        wait_for("every task to be acknowledged", lambda: set(left()) == {"0"})
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def fanout():
    news = Exchange("news", type="fanout")
    heard = {"one": [], "two": []}
    with Connection(BROKER, transport_options={**OPTIONS, "supports_fanout": True, "wait_time_seconds": 1}) as connection:
        consumers = []
        for name, list_of in heard.items():
            on_message = lambda body, message, list_of=list_of: (list_of.append(body), message.ack())
            consumer = Consumer(connection.channel(), [Queue(f"news-{name}", news)], callbacks=[on_message])
            consumer.consume()
            consumers.append(consumer)
        connection.Producer(exchange=news, serializer="json").publish({"text": "grüße"}, declare=[news])
        end = time.monotonic() + 30
        while not all(heard.values()) and time.monotonic() < end:
            try:
                connection.drain_events(timeout=1)
            except socket.timeout:
                pass
    assert heard == {"one": [{"text": "grüße"}], "two": [{"text": "grüße"}]}, heard


if __name__ == "__main__":
    sqs = boto3.client("sqs")
    try:
        if PREDEFINED:
            work("given")
        else:
            work("made")
            fanout()
            url = sqs.create_queue(QueueName="given")["QueueUrl"]
            subprocess.run([sys.executable, __file__], env={**os.environ, "PREDEFINED": url}, check=True)
    finally:
        shutil.rmtree(RESULTS, ignore_errors=True)
    print("good")
