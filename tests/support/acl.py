"""The users of docs/reference/acl.md, made on a real server exactly as that page says.

Used by the contract suite, which speaks as the worker of that page, and by the tests of what each user may not do.
"""

import re
import shlex
from functools import cache
from pathlib import Path

import redis

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "acl.md"
QUEUE = "task_queue"  # the queue of the page
PASSWORD = "s3cret-Pass"
FINDER = "asyncq-finder"  # the page's user of sentinels

Rules = tuple[str, ...]


@cache
def _lines() -> dict[str, Rules]:
    text = PAGE.read_text().replace("\\\n", " ")
    lines = re.findall(r"^ {4}redis-cli (?:-p \d+ )?(ACL SETUSER .*)$", text, re.MULTILINE)
    return {name: tuple(rules) for _, _, name, *rules in map(shlex.split, lines)}


def documented() -> dict[str, Rules]:
    """The page's users of Redis and the rules of each, in the order of the page."""
    return {name: rules for name, rules in _lines().items() if name != FINDER}


def commands_of(user: str) -> set[str]:
    """The commands that a user of the page may run."""
    return {rule[1:] for rule in documented()[user] if rule.startswith("+")}


@cache
def besides(place: str) -> Rules:
    """What the page gives every user of a `cluster`, or of servers behind `sentinels`, besides."""
    (line,) = re.findall(rf"^- {place}: give every user (.*?)[.;:]$", PAGE.read_text(), re.MULTILINE | re.IGNORECASE)
    return tuple(re.findall(r"`'?(\+[\w|-]+)'?`", line))


def make_users(admin: redis.Redis, *queues: str, place: str = "") -> None:
    """Make the page's users for these queues instead of the page's one, all with PASSWORD.

    Args:
        place: One of those that `besides` knows.
    """
    more = besides(place) if place else ()
    for user, rules in documented().items():
        admin.execute_command("ACL", "SETUSER", user, "reset", *_for_queues(rules, queues), *_newer(admin), *more)


def make_finder(sentinel: redis.Redis) -> None:
    """Make the page's user of sentinels, with PASSWORD."""
    rules = [f">{PASSWORD}" if rule == ">PASSWORD" else rule for rule in _lines()[FINDER]]
    sentinel.execute_command("ACL", "SETUSER", FINDER, "reset", *rules, *_newer(sentinel))


def _newer(admin: redis.Redis) -> list[str]:
    """What newer servers need besides, as the page says."""
    version = tuple(int(part) for part in admin.info("server")["redis_version"].split(".")[:2])
    return ["+client|setinfo"] if version >= (7, 2) else []


def _for_queues(rules: Rules, queues: tuple[str, ...]) -> list[str]:
    made = []
    for rule in rules:
        if rule == ">PASSWORD":
            made.append(f">{PASSWORD}")
        elif QUEUE in rule:
            made += [_named(rule, queue) for queue in queues]
        else:
            made.append(rule)
    return made


def _named(rule: str, queue: str) -> str:
    tag = re.search(r"\{(.*)\}", queue)
    return rule.replace(f"{{{QUEUE}}}", f"{{{tag[1] if tag else queue}}}").replace(QUEUE, queue)


def url(socket: str, user: str, password: str = PASSWORD) -> str:
    """The URL with which this user reaches the server on this socket."""
    return f"unix://{user}:{password}@{socket}"
