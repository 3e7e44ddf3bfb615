"""Makes events.jsonl: sign-ups that look like a real week, the same bytes for the same seed.

Run by hand (`python -m examples.signup.make_events [FILE]`) and by the test that compares with the shipped
file. Pure apart from writing the file. Addresses lie in the domains that are reserved for examples.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final, TypeVar
from uuid import UUID

from examples.signup.event import Event, stamp
from examples.signup.people import COMPANIES, PEOPLE, People

EVENTS_FILE: Final = Path(__file__).with_name("events.jsonl")
COUNT: Final = 5_000
SEED: Final = 20_250_303
WEEK_START_S: Final = datetime(2025, 3, 3, tzinfo=UTC).timestamp()
DAY_S: Final = 86_400

PLANS: Final = ("free",) * 12 + ("starter",) * 4 + ("team",) * 3 + ("business",)
DOMAINS: Final = ("example.com",) * 5 + ("example.org",) * 3 + ("example.net",) * 2
# (source, utm or None, referrer or None)
Origin = tuple[str, dict[str, str] | None, str | None]
ORIGINS: Final[tuple[Origin, ...]] = (
    ("direct", None, None),
    ("direct", None, None),
    ("organic", None, "https://search.example.net/"),
    ("organic", None, "https://search.example.net/"),
    (
        "paid",
        {"source": "search", "medium": "cpc", "campaign": "spring-launch"},
        "https://search.example.net/",
    ),
    (
        "paid",
        {"source": "feed", "medium": "social", "campaign": "spring-launch"},
        "https://social.example.org/",
    ),
    ("newsletter", {"source": "newsletter", "medium": "email", "campaign": "week-10"}, None),
    (
        "partner",
        {"source": "partner", "medium": "referral", "campaign": "directory"},
        "https://apps.example.org/list",
    ),
    ("invite", None, "https://app.example.com/invite"),
)
# How busy each of the 24 hours is.
_WEIGHTS: Final = (1, 0, 1, 0, 0, 1, 2, 4, 6, 7, 6, 5, 3, 4, 6, 6, 5, 4, 3, 3, 3, 3, 2, 1)
HOURS: Final = tuple(hour for hour, weight in enumerate(_WEIGHTS) for _ in range(weight))

T = TypeVar("T")


def make_events(count: int = COUNT, seed: int = SEED) -> Iterator[Event]:
    """`count` events in order of time.

    Draws only Random.random and Random.getrandbits, whose sequences no Python version has changed.
    """
    rng = Random(seed)
    moments = sorted(_moment(rng) for _ in range(count))
    taken: dict[str, int] = {}
    for number, moment in enumerate(moments, start=1):
        yield _event(rng, number, moment, taken)


def as_bytes(events: Iterator[Event]) -> bytes:
    """One JSON object per line, UTF-8 as it is."""
    return "".join(json.dumps(e, ensure_ascii=False, separators=(",", ":")) + "\n" for e in events).encode()


def _one_of(rng: Random, choices: Sequence[T]) -> T:
    return choices[int(rng.random() * len(choices))]


def _moment(rng: Random) -> float:
    day = int(rng.random() * 7)
    return WEEK_START_S + day * DAY_S + _one_of(rng, HOURS) * 3600 + int(rng.random() * 3600)


def _event(rng: Random, number: int, moment: float, taken: dict[str, int]) -> Event:
    people = _one_of(rng, PEOPLE)
    name, mailbox = _person(rng, people)
    source, utm, referrer = _one_of(rng, ORIGINS)
    plan = _one_of(rng, PLANS)
    event: dict[str, Any] = {
        "event_id": str(UUID(int=rng.getrandbits(128), version=4)),
        "user_id": f"u{100_000 + number}",
        "email": _address(rng, mailbox, taken),
        "name": name,
        "locale": _one_of(rng, people.locales),
        "plan": plan,
        "company": _one_of(rng, COMPANIES) if plan in ("team", "business") else None,
        "source": source,
        "utm": utm,
        "referrer": referrer,
        "marketing": rng.random() < 0.4,
        "signed_up_at": stamp(moment),
    }
    return event


def _person(rng: Random, people: People) -> tuple[str, str]:
    """A name as it is written, and in ASCII for the address."""
    given, given_ascii = _one_of(rng, people.given)
    family, family_ascii = _one_of(rng, people.family)
    order = (family, given) if people.family_first else (given, family)
    return people.between.join(order), f"{given_ascii}.{family_ascii}"


def _address(rng: Random, mailbox: str, taken: dict[str, int]) -> str:
    domain = _one_of(rng, DOMAINS)
    same = taken[f"{mailbox}@{domain}"] = taken.get(f"{mailbox}@{domain}", 0) + 1
    return f"{mailbox}{same if same > 1 else ''}@{domain}"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else EVENTS_FILE
    target.write_bytes(as_bytes(make_events()))
    print(f"{target}: {COUNT:,} events, {target.stat().st_size:,} bytes")
