"""TaskOptions: what `@task("name", **options)` may say, checked once at registration."""

from __future__ import annotations

from dataclasses import dataclass, field

from asyncq.core.errors import ConfigurationError
from asyncq.core.queue_name import hash_tag
from asyncq.core.retry import RetryPolicy

DEFAULT_TIMEOUT_S = 300.0
DEFAULT_MAX_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """Options of one task.

    Attributes:
        queue: Where `enqueue` puts it and what a supervisor without `--queue` consumes; None means `task_queue`.
        max_attempts: How often a failing message is run before it becomes a dead letter; default 3.
        timeout_s: Seconds one attempt may take; default 300, 0 means no limit.
        retry: Delay between attempts.
    """

    queue: str | None = None
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    timeout_s: float = DEFAULT_TIMEOUT_S
    retry: RetryPolicy = field(default_factory=RetryPolicy)

    def __post_init__(self) -> None:
        if self.queue is not None:
            hash_tag(self.queue)  # refuses what is no queue name
        if self.max_attempts < 1:
            raise ConfigurationError(f"task option max_attempts: expected 1 or more, found {self.max_attempts}")
        if self.timeout_s < 0:
            raise ConfigurationError(f"task option timeout_s: expected 0 or more seconds, found {self.timeout_s}")
