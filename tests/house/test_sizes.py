"""Our count of complexity is ruff's, so that editor and house never disagree."""

import ast
import json
import shutil
import subprocess

import pytest

from tests.house.size_cases import SHAPES
from tests.house.size_rules import Function, complexity


def test_complexity_is_counted_as_written_beside_the_shapes() -> None:
    assert SHAPES == {body: complexity(_parsed(body)) for body in SHAPES}


def test_ruff_counts_alike() -> None:
    ruff = shutil.which("ruff")
    if ruff is None:
        pytest.skip("ruff is not installed; it is in the extra `lint`")
    text = "\n".join(_text(body, f"f{number}") for number, body in enumerate(SHAPES))
    options = ["--isolated", "--select=C901", "--config=lint.mccabe.max-complexity=0", "--output-format=json"]
    done = subprocess.run(
        [ruff, "check", *options, "--target-version=py311", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    said = [found["message"].split("`") for found in json.loads(done.stdout)]  # "`f0` is too complex (1 > 0)"
    counted = {words[1]: int(words[2].partition("(")[2].split()[0]) for words in said}

    assert list(SHAPES.values()) == [counted[f"f{number}"] for number in range(len(SHAPES))]


def _text(body: str, name: str) -> str:
    return f"async def {name}(a):\n    {body}\n"


def _parsed(body: str) -> Function:
    function = ast.parse(_text(body, "f")).body[0]
    assert isinstance(function, Function)
    return function
