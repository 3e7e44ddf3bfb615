"""One build and one clean environment per session, for every test of this folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from tests.wheel.building import NO_CHECKOUT, Built, build_both, copy_checkout, is_checkout, make_builder
from tests.wheel.venvs import RegistryUnreachableError, Venv, base_python, make_venv

T = TypeVar("T")

# What a machine on which somebody worked has lying about, and no archive may hold.
LITTER = (
    ".asyncq/appendonlydir/appendonly.aof.1.incr.aof",
    "examples/signup/.asyncq/redis.log",
    "asyncq/core/__pycache__/old.cpython-311.pyc",
    "tests/unit/__pycache__/old.cpython-311.pyc",
    "tests/.hypothesis/examples/1",
    "benchmarks/results/run.json",
    "benchmarks/node_modules/bench.js",
    "build/lib/asyncq/old.py",
    "dist/asyncq_supervise-0.0.9.tar.gz",
)


def or_skip(act: Callable[[], T]) -> T:
    """What `act` returns; a registry that does not answer is no fault of ours, everything else is."""
    try:
        return act()
    except RegistryUnreachableError as error:
        pytest.skip(f"the package registry does not answer: {str(error).splitlines()[-1]}")


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with litter in it."""
    if not is_checkout():
        pytest.skip(NO_CHECKOUT)
    copy = copy_checkout(tmp_path_factory.mktemp("source") / "checkout")
    for name in LITTER:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(b"litter")
    return copy


@pytest.fixture(scope="session")
def builder(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Venv:
    """The environment of the build backend."""
    return or_skip(lambda: make_builder(tmp_path_factory.mktemp("builder") / "venv", base_python(), source))


@pytest.fixture(scope="session")
def built(builder: Venv, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sdist and the wheel of the checkout."""
    return build_both(builder, source, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def clean_venv(tmp_path_factory: pytest.TempPathFactory) -> Venv:
    """An environment in which nothing is installed yet."""
    return make_venv(tmp_path_factory.mktemp("clean") / "venv", base_python())
