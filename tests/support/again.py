"""The tests of a module once more, where the fixtures of the same names lead to another kind of Redis.

Used by tests/unit/broker/fake and tests/contract/cluster.
"""

import inspect
from types import ModuleType

import pytest

_FIXTURE = type(pytest.fixture(lambda: None))


def once_more(
    module: ModuleType, left_out: dict[str, str] | None = None, prefix: str = "", *, without: str = ""
) -> dict[str, object]:
    """The tests and fixtures of a module, to be judged here, too: `globals().update(once_more(test_inspector))`.

    Args:
        left_out: Tests that cannot be judged here, and why; names that do not exist are refused.
        prefix: Stands in the tests' names here, so that those of several modules find room in one.
        without: Tests that ask for this fixture are left out, too.
    """
    left_out = left_out or {}
    missing = sorted(set(left_out) - set(vars(module)))
    assert not missing, f"{module.__name__} has no {missing}"
    found: dict[str, object] = {}
    for name, value in vars(module).items():
        if name.startswith("test_"):
            if name not in left_out and without not in inspect.signature(value).parameters:
                found[name.replace("test_", f"test_{prefix}_" if prefix else "test_", 1)] = value
        elif name.startswith("Test"):
            if name not in left_out:
                found[f"{name}{prefix.title()}"] = value
        elif isinstance(value, _FIXTURE):
            found[name] = value
    return found
