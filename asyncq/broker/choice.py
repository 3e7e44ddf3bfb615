"""Which Redis a command talks to: the named one, the one on localhost, or the embedded one of the folder.

Called once per command, and by clients that name none. A named one is never replaced by another. Starts nothing and
prints nothing: the answer holds a sentence for people and, when a server would have to be started, the plan for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from asyncq.broker import embedded
from asyncq.broker.ping import ping
from asyncq.core.errors import BrokerUnavailableError
from asyncq.core.redaction import redact
from asyncq.core.settings import Loaded, Settings

LOCALHOST: Final = ("127.0.0.1", 6379)
LOCALHOST_URL: Final = "redis://127.0.0.1:6379/0"
_PING_TIMEOUT_S: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisChoice:
    """The Redis of this command.

    Attributes:
        kind: "named" by a setting, "localhost", "embedded" that runs, or "planned": embedded, to be started.
        url: Where it answers, or will.
        sentence: For people, without a password.
        plan: What to start when kind is "planned".
    """

    kind: Literal["named", "localhost", "embedded", "planned"]
    url: str
    sentence: str
    plan: embedded.EmbeddedPlan | None = None


def resolve_redis(settings: Settings, folder: Path) -> RedisChoice:
    """Choose; see the module.

    Raises:
        ConfigurationError: nothing is named, nothing answers, and there is no server binary to start.

    Cost: no Redis call when a URL is set, else at most 2 PINGs.
    """
    if settings.redis_url is not None:
        shown = redact(settings.redis_url)
        return RedisChoice(kind="named", url=settings.redis_url, sentence=f"Redis at {shown}")
    local = ping(LOCALHOST, _PING_TIMEOUT_S)
    if local.startswith(("+PONG", "-LOADING")):
        return RedisChoice(
            kind="localhost", url=LOCALHOST_URL, sentence=f"Redis at {LOCALHOST_URL} (no URL is set, this one answers)"
        )
    return _embedded(embedded.plan(folder, settings.redis_server), _why(local))


def _why(local: str) -> str:
    if local.startswith("-"):
        return f"no URL is set and localhost:6379 refuses ({local[1:]})"
    return "no URL is set and no Redis answers on localhost:6379"


def _embedded(plan: embedded.EmbeddedPlan, why: str) -> RedisChoice:
    if plan.binary is None:
        sentence = f"embedded Redis, running, at {plan.url}; its data lies in {plan.data} ({why})"
        return RedisChoice(kind="embedded", url=plan.url, sentence=sentence)
    sentence = (
        f"embedded Redis for development at {plan.url} ({plan.binary.path} {plan.binary.version}); "
        f"its data lies in {plan.data} ({why})"
    )
    return RedisChoice(kind="planned", url=plan.url, sentence=sentence, plan=plan)


def reachable_redis(loaded: Loaded) -> RedisChoice:
    """As `resolve_redis`, for commands that do one thing and start no server.

    Raises:
        BrokerUnavailableError: nothing is named and nothing runs.
    """
    settings = loaded.settings
    choice = resolve_redis(settings, loaded.folder)
    if choice.kind == "planned":
        raise BrokerUnavailableError(
            "no Redis: no URL is set, localhost:6379 does not answer and no embedded server runs for "
            f"{loaded.folder}; start asyncq-supervise here, or set ASYNCQ_REDIS_URL or --redis"
        )
    return choice
