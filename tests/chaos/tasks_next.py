"""The next version of the app: everything that `tests.chaos.tasks` has, and one task more."""

from typing import Any

from asyncq import task
from tests.chaos.tasks import write


@task("brand_new")
async def brand_new(payload: dict[str, Any]) -> None:
    """Known to this version only."""
    write("S", payload)
    write("D", payload)
