"""Message: one request to run a task, as it lies in Redis.

A Message is a read-only view over the decoded JSON object, so fields that asyncq does not know survive
and a message costs the hot path one small object. Made by `core.codec`, read by everybody, changed by nobody:
a retry edits the raw bytes (`codec.replace_members`), never the view.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

REQUIRED_FIELDS: Final = ("id", "name", "payload", "timestamp")
MAX_NAME_CHARS: Final = 256


class Message:
    """The four fields of the protocol and the optional ones, with their defaults.

    Attributes:
        fields: The decoded JSON object, unknown members included.
    """

    __slots__ = ("fields",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields: Mapping[str, Any] = fields

    @property
    def id(self) -> str:
        return self.fields["id"]  # type: ignore[no-any-return]

    @property
    def name(self) -> str:
        return self.fields["name"]  # type: ignore[no-any-return]

    @property
    def payload(self) -> Any:
        return self.fields["payload"]

    @property
    def timestamp(self) -> float:
        """Seconds since the epoch, as the producer wrote it."""
        return self.fields["timestamp"]  # type: ignore[no-any-return]

    @property
    def attempt(self) -> int:
        """Counted from 1; absent means 1."""
        return self.fields.get("attempt", 1)  # type: ignore[no-any-return]

    @property
    def max_attempts(self) -> int | None:
        """Overrides the task's own limit when present."""
        return self.fields.get("max_attempts")

    @property
    def timeout_s(self) -> float | None:
        """Wire field `timeout`, seconds; overrides the task's own when present."""
        return self.fields.get("timeout")

    @property
    def expires_at(self) -> float | None:
        """Seconds since the epoch after which an attempt is not started any more."""
        return self.fields.get("expires_at")

    @property
    def errors(self) -> list[Any]:
        """What the last failed attempts came to, oldest first; truncated."""
        return self.fields.get("errors", [])  # type: ignore[no-any-return]

    @property
    def parked_since(self) -> float | None:
        """When the message was first found to name an unknown task, seconds since the epoch."""
        return self.fields.get("parked_since")

    def __repr__(self) -> str:
        return f"Message(id={self.id!r}, name={self.name!r}, attempt={self.attempt})"
