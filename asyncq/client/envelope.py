"""From a task's name and a payload to the fields of a message. Pure but for the id and the clock."""

from __future__ import annotations

import uuid
from typing import Any

from asyncq.core import clock


def create_task(name: str, payload: Any) -> dict[str, Any]:
    """The four fields of a new message.

    Args:
        name: A registered task.
        payload: Anything JSON can say.

    Returns: a plain dict, ready for `enqueue_task`; optional fields of the protocol may be added to it.
    """
    return {"id": str(uuid.uuid4()), "name": name, "payload": payload, "timestamp": clock.wall_s()}
