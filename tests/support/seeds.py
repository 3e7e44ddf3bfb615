"""One seed for everything random in a run: the order of tests, `random`, hypothesis. Printed when a test fails.

Called by tests/conftest.py. Without pytest-randomly the order is that of the files and only hypothesis has a seed.
"""

import random

import pytest


def choose(config: pytest.Config) -> None:
    """Settle the seed before the plugins read their options; what was asked for on the command line stays."""
    option = config.option
    seed = getattr(option, "randomly_seed", "default")
    if seed == "last":  # said by pytest-randomly, which remembers it
        seed = config.cache.get("randomly_seed", "default") if config.cache else "default"
    if seed == "default":
        seed = random.SystemRandom().getrandbits(32)
    if hasattr(option, "randomly_seed"):
        option.randomly_seed = seed
    if getattr(option, "hypothesis_seed", "not installed") is None:
        option.hypothesis_seed = str(seed)


def flags(config: pytest.Config) -> str:
    """What to give pytest for the same run again."""
    option = config.option
    order = f"--randomly-seed={option.randomly_seed} " if hasattr(option, "randomly_seed") else "-p no:randomly "
    return f"{order}--hypothesis-seed={getattr(option, 'hypothesis_seed', None)}"
