"""The program of the article asyncq grew from, whole; only its imports are asyncq's. Run by test_article.py."""

import asyncio
import sys

from asyncq.simple import TASK_REGISTRY, create_task, enqueue_task, execute_with_retry, start_workers, task


@task("send_welcome_email")
async def send_welcome_email(payload):
    await asyncio.sleep(0.01)  # sleeps: the article's handlers stand for work that takes a while
    print(f"welcome email to {payload['email']}", flush=True)


@task("track_event")
async def track_event(payload):
    await asyncio.sleep(0.01)  # sleeps: the article's handlers stand for work that takes a while
    print(f"event {payload['event']}", flush=True)


failures = []


async def flaky(payload):
    failures.append(payload)
    if len(failures) < 3:
        raise RuntimeError("not yet")
    return "done"


async def producer():
    for number in range(5):
        await enqueue_task("task_queue", create_task("send_welcome_email", {"email": f"user{number}@example.com"}))
    await enqueue_task("task_queue", create_task("track_event", {"event": "signup"}))


async def main():
    if sys.argv[1] == "produce":
        await producer()
    elif sys.argv[1] == "retry":
        print(await execute_with_retry(flaky, {"n": 1}), len(failures), flush=True)
    else:
        assert sorted(TASK_REGISTRY) == ["send_welcome_email", "track_event"]
        await start_workers("task_queue", concurrency=10)


asyncio.run(main())
