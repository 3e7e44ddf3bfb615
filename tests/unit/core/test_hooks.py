"""Hooks: what may be registered, in which order it is called, and how a failure reads."""

import json
import traceback
from collections.abc import Callable
from typing import Any

import pytest

import asyncq
from asyncq.core.errors import ConfigurationError, HookError
from asyncq.core.hooks import Crash, Hooks
from asyncq.core.registry import Registry, default_registry

KINDS = ["on_zygote_load", "on_worker_start", "on_worker_stop", "on_crash"]


def register(kind: str, hook: Any) -> Hooks:
    hooks = Hooks()
    assert getattr(hooks, kind)(hook) is hook
    return hooks


class TestRegistering:
    def test_every_registry_has_its_own_and_the_front_door_shows_those_of_the_default_one(self) -> None:
        assert default_registry.hooks is asyncq.hooks
        assert Registry().hooks is not asyncq.hooks

    def test_start_hooks_keep_their_order_and_stop_hooks_come_in_the_reverse_order(self) -> None:
        hooks = Hooks()
        functions: list[Callable[[], None]] = [lambda: None, lambda: None]
        for function in functions:
            hooks.on_worker_start(function)
            hooks.on_worker_stop(function)

        assert functions == [hook.function for hook in hooks.worker_start]
        assert functions[::-1] == [hook.function for hook in hooks.worker_stop]

    @pytest.mark.parametrize("kind", KINDS)
    def test_what_is_no_function_is_refused(self, kind: str) -> None:
        with pytest.raises(
            ConfigurationError, match=f"{kind}: expected a function as in @hooks.{kind}, found 'models'"
        ):
            register(kind, "models")

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_function_that_yields_is_refused(self, kind: str) -> None:
        def half():  # type: ignore[no-untyped-def]
            yield

        async def also_half():  # type: ignore[no-untyped-def]
            yield

        for function in (half, also_half):
            with pytest.raises(
                ConfigurationError, match=r"half: expected a function that returns, found one that yields"
            ):
                register(kind, function)

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_function_that_could_not_be_called_is_refused(self, kind: str) -> None:
        wrong = (lambda: None) if kind == "on_crash" else (lambda crash: None)
        expected = "one argument, the Crash" if kind == "on_crash" else "no argument"

        with pytest.raises(ConfigurationError, match=rf"the {kind} hook .*<lambda>: expected a function of {expected}"):
            register(kind, wrong)

    def test_async_def_is_refused_before_the_fork_with_the_reason(self) -> None:
        async def connect() -> None: ...

        class Connect:
            async def __call__(self) -> None: ...

        for hook in (connect, Connect()):
            with pytest.raises(
                ConfigurationError, match=r"found `async def`; it is called before the fork, .* use on_wor"
            ):
                register("on_zygote_load", hook)

    def test_a_builtin_without_a_signature_is_taken_as_it_is(self) -> None:
        assert 1 == len(register("on_worker_start", dict).worker_start)


class TestLoad:
    def test_each_is_called_once_in_order_also_those_that_come_later(self) -> None:
        hooks, called = Hooks(), list[str]()
        hooks.on_zygote_load(lambda: called.append("first"))
        hooks.on_zygote_load(lambda: called.append("second"))
        hooks.load()
        hooks.on_zygote_load(lambda: called.append("third"))
        hooks.load()
        hooks.load()

        assert ["first", "second", "third"] == called

    @pytest.mark.parametrize("error", [ValueError("no such\n file"), SystemExit("no such file")])
    def test_a_failure_names_hook_error_and_line(self, error: BaseException) -> None:
        def load() -> None:
            raise error

        with pytest.raises(HookError) as caught:
            register("on_zygote_load", load).load()

        line = traceback.extract_tb(error.__traceback__)[-1].lineno
        name = f"{__name__}.TestLoad.test_a_failure_names_hook_error_and_line.<locals>.load"
        said = f"the on_zygote_load hook {name} failed: {type(error).__name__}: no such file ({__file__}:{line})"
        assert said == str(caught.value)
        assert caught.value.__cause__ is error

    def test_one_that_returns_a_coroutine_is_a_failure(self) -> None:
        async def connect() -> None: ...

        coroutine = connect()
        with pytest.raises(HookError, match="returned an awaitable"):
            register("on_zygote_load", lambda: coroutine).load()
        coroutine.close()


class TestCrash:
    CRASH = Crash(
        index=2,
        pid=77,
        cause="killed by SIGSEGV",
        reason="crash",
        task="resize",
        message_id="m1",
        last_lines=("a", "b"),
    )

    def test_it_crosses_as_json(self) -> None:
        assert Crash.from_json(json.loads(json.dumps(self.CRASH.to_json()))) == self.CRASH

    def test_a_newer_one_may_say_more_and_what_is_not_known_is_empty(self) -> None:
        found = {"index": 0, "pid": 7, "cause": "exit code 3", "reason": "boot", "weather": "fine"}

        crash = Crash.from_json(found)
        assert ("", "", "", ()) == (crash.task, crash.message_id, crash.stack, crash.last_lines)

    def test_one_that_says_too_little_is_refused(self) -> None:
        with pytest.raises(TypeError, match="reason"):
            Crash.from_json({"index": 0, "pid": 7, "cause": "exit code 3"})

    def test_it_cannot_be_changed(self) -> None:
        with pytest.raises(AttributeError):
            self.CRASH.pid = 1  # type: ignore[misc]
