"""A child's end is an exit code, and why it failed is told to the arbiter in one sentence."""

import logging
import sys

import pytest

from asyncq.core.errors import AppImportError
from asyncq.supervisor.channel import channel_pair
from asyncq.supervisor.newborn import ChildContext, Order, run_target
from asyncq.supervisor.scoreboard import Scoreboard
from asyncq.supervisor.spec import ChildSpec

MODULE = __name__


def answer(context: ChildContext) -> int | None:
    result: int | None = context.args
    return result


def stop(context: ChildContext) -> None:
    sys.exit(context.args)


def app_missing(context: ChildContext) -> None:
    raise AppImportError("cannot import the app")


def broken(context: ChildContext) -> None:
    raise RuntimeError("broken")


def ran(target: str, args: object = None) -> tuple[int, list[object]]:
    """The exit code, and the sentences that the arbiter was told."""
    ours, theirs = channel_pair()
    order = Order(ChildSpec("worker", target, args=args), 0, 1, Scoreboard(1).page(0))
    code = run_target(order, theirs)
    sentences = [message["sentence"] for message in ours.messages("worker")]
    ours.close()
    theirs.close()
    return code, sentences


@pytest.mark.parametrize(
    ("function", "args", "code"),
    [("answer", None, 0), ("answer", 75, 75), ("stop", None, 0), ("stop", 3, 3), ("stop", "a sentence", 1)],
)
def test_result_of_the_target_is_the_exit_code(function: str, args: object, code: int) -> None:
    assert ran(f"{MODULE}:{function}", args) == (code, [])


@pytest.mark.parametrize(
    ("target", "code", "sentence"),
    [
        (f"{MODULE}:app_missing", 3, "cannot import the app"),
        (f"{MODULE}:broken", 70, "RuntimeError: broken"),
        ("no_such_module:run", 70, "ModuleNotFoundError: No module named 'no_such_module'"),
        (f"{MODULE}:no_such", 70, f"AttributeError: module '{MODULE}' has no attribute 'no_such'"),
    ],
)
def test_failure_is_told_in_one_sentence_when_the_target_fails(
    caplog: pytest.LogCaptureFixture, target: str, code: int, sentence: str
) -> None:
    caplog.set_level(logging.CRITICAL)
    assert ran(target) == (code, [sentence])
