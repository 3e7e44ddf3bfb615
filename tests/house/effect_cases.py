"""Planted violations and good cases for effect_rules.py: (rule, house, what must be found)."""

from __future__ import annotations

from tests.house import effect_rules as rules
from tests.house.source import House, mini

_ENVIRONMENT, _FORKS = rules.only_environment_reads_the_environment, rules.only_spawn_forks
_SENT, _OWNER = rules.nothing_runs_what_was_sent, rules.every_task_has_an_owner
A = "asyncq/core/a.py"
_LENT = "asyncq.core.environment.variables"
_WHY = {
    _ENVIRONMENT: "the environment belongs to core/environment.py",
    _FORKS: "only supervisor/spawn.py makes processes that way",
    _SENT: "nothing runs what was sent",
}


def _code(text: str, where: str = A) -> House:
    return mini({where: text})


# (rule, text of a module, the name that is found in its last line)
_NAMED = [
    (_ENVIRONMENT, "import os\nos.environ['A']", "os.environ"),
    (_ENVIRONMENT, "import os\nx = os.environb", "os.environb"),
    (_ENVIRONMENT, "import os\ndef lazy():\n    os.getenv('A')", "os.getenv"),
    (_ENVIRONMENT, "from os import environ", "os.environ"),
    (_ENVIRONMENT, "from os import getenv as g", "os.getenv"),
    (_ENVIRONMENT, "import os as o\nx = o.environ", "os.environ"),
    (_ENVIRONMENT, "import os.path\nx = os.environ", "os.environ"),
    (_ENVIRONMENT, "import os\nos.putenv('A', 'b')", "os.putenv"),
    (_ENVIRONMENT, "import os\nx = os.path.expandvars('$A')", "os.path.expandvars"),
    (_ENVIRONMENT, "import os\nx = getattr(os, 'environ')", "os.environ"),
    (_ENVIRONMENT, "from os import *", "os.*"),
    (_ENVIRONMENT, "import posix\nx = posix.environ", "posix.environ"),
    (_FORKS, "import os\nos.fork()", "os.fork"),
    (_FORKS, "import os\nmake = os.forkpty", "os.forkpty"),
    (_FORKS, "from os import fork as split", "os.fork"),
    (_FORKS, "import os as o\no.posix_spawn('a', [], {})", "os.posix_spawn"),
    (_FORKS, "import os\nos.system('a')", "os.system"),
    (_FORKS, "import pty\npty.fork()", "pty.fork"),
    (_FORKS, "import multiprocessing", "multiprocessing"),
    (_FORKS, "from multiprocessing.pool import Pool", "multiprocessing.pool.Pool"),
    (_FORKS, "from concurrent.futures import ProcessPoolExecutor", "concurrent.futures.ProcessPoolExecutor"),
    (_SENT, "import pickle", "pickle"),
    (_SENT, "from pickle import loads", "pickle.loads"),
    (_SENT, "import marshal as m", "marshal"),
    (_SENT, "import shelve", "shelve"),
    (_SENT, "def lazy():\n    import cloudpickle.cloudpickle", "cloudpickle.cloudpickle"),
    (_SENT, "eval('1')", "eval"),
    (_SENT, "exec('1')", "exec"),
    (_SENT, "run = eval", "eval"),
    (_SENT, "compile('1', '', 'eval')", "compile"),
    (_SENT, "__import__('a')", "__import__"),
    (_SENT, "import builtins\nbuiltins.exec('1')", "builtins.exec"),
    (_SENT, "from builtins import eval as run", "builtins.eval"),
]
_DROPPED = [
    ("import asyncio\nasyncio.create_task(f())", "asyncio.create_task"),
    ("import asyncio as a\na.ensure_future(f())", "asyncio.ensure_future"),
    ("from asyncio import create_task\ncreate_task(f())", "asyncio.create_task"),
    ("from asyncio import ensure_future as later\nlater(f())", "asyncio.ensure_future"),
    ("import asyncio\n_ = asyncio.create_task(f())", "asyncio.create_task"),
    ("import asyncio\nloop.call_soon(lambda: asyncio.create_task(f()))", "asyncio.create_task"),
    ("def g(loop):\n    loop.create_task(f())", "loop.create_task"),
    ("import asyncio\nasyncio.get_running_loop().create_task(f())", ".create_task"),
    ("import asyncio\nasyncio.run_coroutine_threadsafe(f(), loop)", "asyncio.run_coroutine_threadsafe"),
]

PLANTED = [
    *((rule, _code(text), f"{A}:{text.count(chr(10)) + 1}: {name}: {_WHY[rule]}") for rule, text, name in _NAMED),
    (_SENT, _code("import pickle", "asyncq/__init__.py"), f"asyncq/__init__.py:1: pickle: {_WHY[_SENT]}"),
    (_SENT, _code("import pickle", "benchmarks/a.py"), f"benchmarks/a.py:1: pickle: {_WHY[_SENT]}"),
    *(
        (_ENVIRONMENT, _code(text), f"{A}:{line}: {_LENT}: the environment is lent to core/settings.py only")
        for line, text in (
            (2, "from asyncq.core import environment\nx = environment.variables()"),
            (1, "from asyncq.core.environment import variables"),
        )
    ),
    (
        _FORKS,
        _code("import os\nos.fork()", "asyncq/core/settings.py"),
        f"asyncq/core/settings.py:2: os.fork: {_WHY[_FORKS]}",
    ),
    *(
        (_OWNER, _code(text, where), f"{where}:2: the task of {name} is dropped; keep it, or use a TaskGroup")
        for text, name in _DROPPED
        for where in (A, "examples/signup/a.py")[: 2 if text.count("create_task") == 1 and "loop" not in text else 1]
    ),
]

GOOD = [
    (_ENVIRONMENT, _code("import os\nx = os.environ", "asyncq/core/environment.py")),
    (
        _ENVIRONMENT,
        _code("from asyncq.core import environment\nx = environment.variables()", "asyncq/core/settings.py"),
    ),
    (_ENVIRONMENT, _code("from asyncq.core.environment import claim_service_manager")),
    (_ENVIRONMENT, _code("import os\nx = os.getpid(), os.path.exists('a'), self.environ, 'os.environ'")),
    (_ENVIRONMENT, _code("import os\nx = os.environ", "tests/support/a.py")),
    (_FORKS, _code("import os\nos.fork()", "asyncq/supervisor/spawn.py")),
    (_FORKS, _code("import os, subprocess\nfrom concurrent.futures import ThreadPoolExecutor\nos.waitpid(1, 0)")),
    (_SENT, _code("import re, json\nre.compile('a')\nself.eval(1)\n'eval'")),
    (_OWNER, _code("async with asyncio.TaskGroup() as group:\n    group.create_task(f())")),
    (
        _OWNER,
        _code(
            "import asyncio\nself._group.create_task(f())\n"
            "task = asyncio.create_task(f())\nreturn asyncio.ensure_future(f())"
        ),
    ),
    (_OWNER, _code("from asyncq import create_task\nprint(create_task('a', {}))\nawait asyncio.create_task(f())")),
]
