"""Celery with its AMQP broker and results as messages: tasks, retries, time limits, groups, priorities, events, remote control, revoked
tasks, and a worker that is killed while it works (late acknowledgement)."""

import os
import signal
import subprocess
import sys
import threading
import time

from celery import Celery, group
from celery.exceptions import TaskRevokedError
from kombu import Queue
from ports import PORTS, wait_for

app = Celery("celery_client", broker=f"amqp://guest:guest@127.0.0.1:{PORTS['amqp']}//", backend="rpc://")
app.conf.update(
    task_queues=[Queue("celery", durable=True, queue_arguments={"x-max-priority": 9})],
    task_default_queue="celery",
    worker_send_task_events=True,
    task_send_sent_event=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    result_expires=60,
    broker_connection_retry_on_startup=True,
)


@app.task
def add(x, y):
    return x + y


@app.task(bind=True, max_retries=3)
def stubborn(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0.2)
    return self.request.retries


@app.task
def slow(seconds):
    time.sleep(seconds)
    return "slept"


def worker(name):
    command = [sys.executable, "-m", "celery", "--app", "celery_client", "worker", "--loglevel", "warning"]
    command += ["--pool", "prefork", "--concurrency", "1", "--hostname", f"{name}@test", "--without-mingle"]
    return subprocess.Popen(command, cwd=os.path.dirname(os.path.abspath(__file__)), start_new_session=True)


def events_of(work):
    seen = []

    def listen():
        with app.connection_for_read() as connection:
            receiver = app.events.Receiver(connection, handlers={"*": lambda event: seen.append(event["type"])})
            receiver.capture(limit=None, timeout=None, wakeup=False)

    threading.Thread(target=listen, daemon=True).start()
    wait_for("events", lambda: work() and {"task-received", "task-started", "task-succeeded"} <= set(seen))


def drive():
    wait_for("the worker answers", lambda: app.control.ping(timeout=0.5))
    assert add.delay(2, 3).get(timeout=20) == 5
    assert group(add.s(number, number) for number in range(50))().get(timeout=40) == [2 * number for number in range(50)]
    assert stubborn.delay().get(timeout=20) == 2
    queues = app.control.inspect(timeout=2).active_queues()
    assert [queue["name"] for queue in queues["first@test"]] == ["celery"], queues
    assert "celery_client.add" in app.control.inspect(timeout=2).registered()["first@test"]
    events_of(lambda: add.delay(1, 1).get(timeout=20))

    blocker, revoked = slow.delay(3), add.delay(0, 0)
    revoked.revoke()
    assert blocker.get(timeout=20) == "slept"
    try:
        revoked.get(timeout=20)
    except TaskRevokedError:
        pass
    else:
        raise AssertionError("it was not revoked")
    scheduled = add.apply_async((4, 4), countdown=1, priority=5)
    assert scheduled.get(timeout=20) == 8


def outlive_a_worker(first):
    result = slow.delay(4)
    wait_for("the task runs", lambda: (app.control.inspect(timeout=1).active() or {}).get("first@test"))
    os.killpg(first.pid, signal.SIGKILL)
    second = worker("second")
    try:
        assert result.get(timeout=60) == "slept"
    finally:
        os.killpg(second.pid, signal.SIGKILL)


if __name__ == "__main__":
    first = worker("first")
    try:
        drive()
        outlive_a_worker(first)
    finally:
        if first.poll() is None:
            os.killpg(first.pid, signal.SIGKILL)
