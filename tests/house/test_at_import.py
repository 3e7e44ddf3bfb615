"""Importing any module has no effect, and the supervisor's parent imports next to nothing, in fresh interpreters."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source import PACKAGE, on_disk

PROGRAM = Path(__file__).with_name("at_import.py")
Effects = list[tuple[str, str, str]]


def effects(package: Path, modules: list[str]) -> Effects:
    """What at_import.py sees: (module, effect, place)."""
    command = [sys.executable, "-P", str(PROGRAM), str(package.parent), package.name, *modules]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr  # which may hold words of half-made objects that were refused
    return [(module, effect, place) for module, effect, place in json.loads(done.stdout)]


def test_importing_any_module_has_no_effect() -> None:
    names = [f"asyncq.{module}".rstrip(".") for module in sorted(on_disk().modules) if module != "__main__"]

    assert len(names) > 50
    found = sorted({f"{place}: {effect} at import" for _, effect, place in effects(PACKAGE, names)})
    assert [] == found, "\n" + "\n".join(found)


# Name of a planted module -> its text and the effect that must be seen.
PLANTED = {
    "connects": ("import socket\nsocket.create_connection(('127.0.0.1', 9))", "socket.getaddrinfo"),
    "opens_a_socket": ("import socket\nsocket.socket(socket.AF_UNIX)", "socket.__new__"),
    "opens_a_pipe": ("import os\nENDS = os.pipe()", "open files changed"),
    "reads_a_file": ("TEXT = open('/etc/hostname').read()", "open"),
    "reads_by_path": ("from pathlib import Path\nTEXT = Path(__file__).read_text()", "open"),
    "reads_a_resource": (
        "from importlib import resources\nresources.files('planted').joinpath('x').read_text()",
        "open",
    ),
    "writes_a_file": ("open('/dev/null', 'w').write('x')", "open"),
    "lists_a_folder": ("import os\nNAMES = os.listdir('/')", "os.listdir"),
    "makes_a_folder": ("import os\nos.mkdir('/nowhere/at/all')", "os.mkdir"),
    "removes_a_file": ("import os\nos.remove('/nowhere/at/all')", "os.remove"),
    "prints": ("print('hello')", "output"),
    "writes_to_standard_error": ("import sys\nsys.stderr.write('hello')", "output"),
    "maps_memory": ("import mmap\nPAGE = mmap.mmap(-1, 4096)", "mmap.__new__"),
    "loads_a_library": ("import ctypes\nLIBC = ctypes.CDLL(None)", "ctypes.dlopen"),
    "runs_a_program": ("import subprocess\nsubprocess.run(['true'])", "subprocess.Popen"),
    "runs_a_shell": ("import os\nos.system('true')", "os.system"),
    "forks": ("import os\nif os.fork() == 0:\n    os._exit(0)", "os.fork"),
    "reads_the_environment": ("import os\nHOME = os.environ['HOME']", "environment"),
    "asks_the_environment": ("import os\nHOME = os.getenv('HOME')", "environment"),
    "looks_into_the_environment": ("import os\nCI = 'CI' in os.environ", "environment"),
    "reads_it_as_bytes": ("from os import environb as e\nALL = dict(e)", "environment"),
    "writes_the_environment": ("import os\nos.environ['PLANTED'] = '1'", "environment"),
    "puts_into_the_environment": ("import os\nos.putenv('PLANTED', '1')", "os.putenv"),
    "changes_the_folder": ("import os\nos.chdir('/')", "os.chdir"),
    "starts_a_thread": ("import threading\nthreading.Thread(target=print).start()", "thread"),
    "starts_a_bare_thread": ("import _thread\n_thread.start_new_thread(int, ())", "thread"),
    "fills_a_pool": ("from concurrent.futures import ThreadPoolExecutor as P\nP().submit(int)", "thread"),
    "makes_a_loop": ("import asyncio\nLOOP = asyncio.new_event_loop()", "event loop"),
    "makes_a_uvloop": ("import uvloop\nLOOP = uvloop.new_event_loop()", "event loop"),
    "runs_a_coroutine": ("import asyncio\nasync def main(): ...\nasyncio.run(main())", "event loop"),
    "makes_a_task": ("import asyncio\nTASK = asyncio.get_event_loop().create_task(None)", "event loop"),
    "sets_the_policy": (
        "import uvloop, asyncio\nasyncio.set_event_loop_policy(uvloop.EventLoopPolicy())",
        "event loop",
    ),
    "handles_a_signal": ("import signal\nsignal.signal(signal.SIGUSR1, print)", "signal handling"),
    "handles_it_by_its_c_name": ("import _signal\n_signal.signal(12, print)", "signal handling changed: 12"),
    "sets_an_alarm": ("import signal\nsignal.alarm(0)", "signal handling"),
    "configures_logging": ("import logging\nlogging.basicConfig()", "logging configuration"),
    "configures_logging_by_dict": (
        "from logging.config import dictConfig\ndictConfig({'version': 1})",
        "logging configuration",
    ),
    "adds_a_handler": ("import logging\nlogging.getLogger('x').addHandler(logging.NullHandler())", "logging config"),
    "sets_a_level": ("import logging\nlogging.getLogger('planted').setLevel(10)", "logging configuration"),
    "handles_at_the_root": ("import logging\nlogging.root.handlers.append(print)", "logging configuration changed"),
    "sets_a_level_directly": (
        "import logging\nlogging.getLogger('planted.a').level = 9",
        "logging configuration changed",
    ),
    "changes_the_environment_unseen": ("import os\nos.environ._data[b'P'] = b'secret'", "environment changed: P"),
    "goes_on_the_path": ("import sys\nsys.path.append('/nowhere')", "sys.path changed"),
    "hooks_in": ("import sys\nsys.excepthook = print", "hooks changed"),
    "enables_faulthandler": ("import faulthandler\nfaulthandler.enable()", "faulthandler changed"),
    "acts_at_the_end": ("import atexit\natexit.register(print)", "exit handler"),
    "ends_the_interpreter": ("raise SystemExit", "cannot be imported: SystemExit"),
    "swallows_what_is_refused": ("try:\n    open('/dev/null')\nexcept Exception:\n    pass", "open"),
    "calls_what_acts": ("from planted.innocent import later\nlater()", "open"),
    "imports_what_acts": ("import planted.acting", "thread"),
    "imports_a_stranger_who_acts": ("import stranger", "os.putenv"),
}
GOOD = '''"""All that a module may do."""
import asyncio, contextvars, logging, os, re, stranger_who_reads, threading
from dataclasses import dataclass
from pathlib import Path
log = logging.getLogger("planted.innocent")
HERE, WORDS, CURRENT = Path(__file__).resolve().parent, re.compile("a"), contextvars.ContextVar("c")
LOCK, QUEUE = threading.Lock(), asyncio.Queue()
@dataclass(frozen=True, slots=True)
class Value:
    number: int = 1
def later():
    return open("/dev/null"), os.environ["HOME"]
'''
BESIDE = {
    "planted/__init__.py": "",
    "planted/innocent.py": GOOD,
    "planted/acting.py": PLANTED["starts_a_thread"][0],
    "stranger.py": "import os\nos.environ['PLANTED'] = '1'",
    "stranger_who_reads.py": "import os\nHOME = os.getenv('HOME')\nTEXT = open(__file__).read()",
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Effects:
    """What is seen when all of them are imported, one after the other."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "planted").mkdir()
    for where, text in BESIDE.items() | {(f"planted/{name}.py", text) for name, (text, _) in PLANTED.items()}:
        (folder / where).write_text(text)
    return effects(folder / "planted", [f"planted.{name}" for name in ("innocent", *PLANTED)])


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_effect_is_found(planted: Effects, name: str) -> None:
    seen = [effect for module, effect, _ in planted if module == f"planted.{name}"]

    assert 1 == len(seen)
    assert seen[0].startswith(PLANTED[name][1])


def test_an_effect_is_found_where_it_stands(planted: Effects) -> None:
    places = {module.removeprefix("planted."): place for module, _, place in planted}

    assert "planted/innocent.py:12" == places["calls_what_acts"]
    assert "planted/acting.py:2" == places["imports_what_acts"]
    assert "planted/reads_by_path.py:2" == places["reads_by_path"]


def test_a_module_without_effects_passes(planted: Effects) -> None:
    assert "planted.innocent" not in {module for module, _, _ in planted}


def loaded_by(*modules: str) -> set[str]:
    """What a fresh interpreter has loaded after importing them, and had not before."""
    program = f"import sys; known = set(sys.modules); import {', '.join(modules)}; print(*set(sys.modules) - known)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    return set(done.stdout.split())


def heavy(loaded: set[str]) -> set[str]:
    """What the supervisor's parent does without: the event loop, forking libraries, all third parties but click."""
    top = {name.partition(".")[0] for name in loaded}
    strangers = top - sys.stdlib_module_names - {"asyncq", "click"}
    return strangers | (top & {"asyncio", "multiprocessing", "concurrent"})


def test_the_supervisors_parent_stays_light() -> None:
    loaded = loaded_by("asyncq.cli.main", "asyncq.cli.supervise")

    assert {"asyncq.supervisor.arbiter", "click"} <= loaded
    assert set() == heavy(loaded)


@pytest.mark.parametrize(("module", "found"), [("redis", "redis"), ("asyncio", "asyncio"), ("uvloop", "uvloop")])
def test_what_is_heavy_for_the_parent_is_found(module: str, found: str) -> None:
    assert found in heavy(loaded_by(module))


HTTP = {"starlette", "uvicorn", "prometheus_client", "asyncq.admin.app", "asyncq.admin.server"}
WORK = {"asyncq.worker.worker", "asyncq.worker.main", "asyncq.client", "asyncq.cli.app"}
# What a child does without, although another one needs it.
WITHOUT = {
    "asyncq.cli.child_worker": HTTP | {"asyncq.maintenance", "asyncq.broker.inspector"},
    "asyncq.cli.child_keeper": HTTP | WORK | {"asyncq.broker.inspector"},
    "asyncq.cli.child_admin": WORK | {"asyncq.maintenance", "asyncq.broker.redis_broker"},
}


@pytest.mark.parametrize("child", WITHOUT)
def test_a_child_imports_only_what_its_role_needs(child: str) -> None:
    before = loaded_by("asyncq.cli.main", "asyncq.cli.supervise")

    assert set() == WITHOUT[child] & (loaded_by("asyncq.cli.main", "asyncq.cli.supervise", child) - before)


def test_what_a_child_does_without_is_what_another_has() -> None:
    assert set().union(*WITHOUT.values()) <= loaded_by(*WITHOUT)


def test_the_child_that_becomes_redis_imports_nothing_before_it_does() -> None:
    before = loaded_by("asyncq.cli.main", "asyncq.cli.supervise")

    assert {"asyncq.cli.child_redis"} == loaded_by("asyncq.cli.main", "asyncq.cli.child_redis") - before
