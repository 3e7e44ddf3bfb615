"""Planted violations and good cases for catalogue_rules.py: (rule, house, what must be found)."""

from __future__ import annotations

from tests.house import catalogue_rules as rules
from tests.house.plan import OPTIONS
from tests.house.source import House, mini

_ROWS, _OPTIONS = rules.every_setting_has_one_row, rules.options_are_settings_or_listed
A, SETTINGS, SERIES = "asyncq/admin/a.py", "asyncq/core/settings.py", "asyncq/metrics/series.py"
CATALOGUE, DEAD, FLAGS = "asyncq/metrics/catalogue.py", "asyncq/cli/dead.py", "asyncq/cli/options.py"
_METRIC = "a Metric is made in metrics/catalogue.py only"
_SETTING = "a Setting is made in core/settings.py only"
_CATALOGUE = """
class Settings:
    app: str
    lease_s: float
def _row(name, key, **more):
    return Setting(name=name, key=key, **more)
CATALOGUE = (
    _row("app", "app"),
    _row("lease_s", "lease", env=""),
)
"""


def _code(text: str, where: str = A) -> House:
    return mini({where: text})


def _settings(old: str, new: str) -> House:
    assert old in _CATALOGUE
    return mini({SETTINGS: _CATALOGUE.replace(old, new)})


def _beside(**files: str) -> House:
    """The catalogue of settings, and other files: `_beside(README__md="...")`."""
    return mini(
        {SETTINGS: _CATALOGUE} | {name.replace("___", "/").replace("__", "."): text for name, text in files.items()}
    )


def _commands(text: str) -> House:
    """The catalogue, all options of the plan, and what stands in cli/dead.py."""
    listed = "import click\n" + "\n".join(f"click.option({option!r})" for option in OPTIONS)
    return mini({SETTINGS: _CATALOGUE, FLAGS: f"{listed}\nclick.option(setting.flag)", DEAD: f"import click\n{text}"})


PLANTED = [
    *(
        (rules.metrics_have_one_catalogue, _code(text), f"{A}:2: {_METRIC}")
        for text in [
            "from asyncq.metrics.series import Metric\nM = Metric(name='a')",
            "from asyncq.metrics.series import Metric as M\nM(name='a')",
            "from asyncq.metrics import series\nseries.Metric(name='a')",
            "from asyncq.metrics.catalogue import Metric\nMetric(name='a')",
            "import asyncq.metrics.series as s\nf(s.Metric())",
        ]
    ),
    (rules.metrics_have_one_catalogue, _code("def f():\n    Metric()", SERIES), f"{SERIES}:2: {_METRIC}"),
    *(
        (
            rules.metrics_have_one_catalogue,
            _code(f"x = 1\nNAME = {literal}"),
            f"{A}:2: 'asyncq_{rest}' names a metric; take it from metrics/catalogue.py",
        )
        for literal, rest in [
            ("'asyncq_tasks_total'", "tasks_total"),
            ("b'asyncq_x'", "x"),
            ("f'asyncq_{x}' if x else f'asyncq_tasks_{x}'", "tasks_"),
            ('"asyncq_redis_up 1"', "redis_up 1"),
        ]
    ),
    *(
        (rules.settings_have_one_catalogue, _code(text), f"{A}:2: {_SETTING}")
        for text in [
            "from asyncq.core.settings import Setting\nSetting(name='a', key='b')",
            "from asyncq.core import settings as s\ns.Setting(name='a', key='b')",
            "from asyncq.core.settings import _row\n_row('a', 'b')",
        ]
    ),
    (
        _ROWS,
        _settings("    app: str\n", "    app: str\n    more: int\n"),
        f"{SETTINGS}:4: the setting more has no row in CATALOGUE",
    ),
    (_ROWS, _settings('_row("app", "app"),', ""), f"{SETTINGS}:3: the setting app has no row in CATALOGUE"),
    (_ROWS, _settings("    lease_s: float\n", ""), f"{SETTINGS}:8: lease_s is no field of Settings"),
    (
        rules.named_variables_exist,
        _beside(README__md="\nSet ASYNCQ_LEASES=3."),
        "README.md:2: ASYNCQ_LEASES is the variable of no setting",
    ),
    *(
        (
            rules.named_variables_exist,
            mini({SETTINGS: _CATALOGUE, where: text}),
            f"{where}:1: {name} is the variable of no setting",
        )
        for where, text, name in [
            ("docs/reference/a.md", "`ASYNCQ_NO_FILE`", "ASYNCQ_NO_FILE"),
            ("deploy/compose.yaml", "  ASYNCQ_APPS: a", "ASYNCQ_APPS"),
            ("deploy/env", "export ASYNCQ_X=1", "ASYNCQ_X"),
            ("examples/a.py", '"ASYNCQ_REDIS"', "ASYNCQ_REDIS"),
            (A, 'raise Error("set ASYNCQ_URL")', "ASYNCQ_URL"),
        ]
    ),
    (
        _OPTIONS,
        _commands("@click.option('--leases', type=int)\ndef f(): ..."),
        f"{DEAD}:2: --leases is no setting; make it one, or list it in OPTIONS of plan.py",
    ),
    (
        _OPTIONS,
        _commands("click.option('--lease', 'lease_s')"),
        f"{DEAD}:2: --lease is a setting; use settings_options",
    ),
    (_OPTIONS, _commands("click.option('-l', '--lease')"), f"{DEAD}:2: --lease is a setting; use settings_options"),
    (
        _OPTIONS,
        _commands("from click import option as o\no('-q')"),
        f"{DEAD}:3: -q is no setting; make it one, or list it in OPTIONS of plan.py",
    ),
    (
        _OPTIONS,
        _commands("click.option('--json/--no-json')"),
        f"{DEAD}:2: --no-json is no setting; make it one, or list it in OPTIONS of plan.py",
    ),
    (_OPTIONS, _commands("click.option(name)"), f"{DEAD}:2: an option without a literal name; use settings_options"),
    (
        _OPTIONS,
        mini(
            {
                FLAGS: "import click\n"
                + "\n".join(f"click.option({option!r})" for option in OPTIONS if option != "--json")
            }
        ),
        "tests/house/plan.py:1: no command has --json of OPTIONS",
    ),
]

GOOD = [
    (
        rules.metrics_have_one_catalogue,
        _code("from asyncq.metrics.series import Metric\nM = Metric(name='asyncq_a')", CATALOGUE),
    ),
    (
        rules.metrics_have_one_catalogue,
        _code("from prometheus_client import Metric as M\nM('a')\n'asyncq:a', 'asyncq', 'x asyncq_a'"),
    ),
    (
        rules.settings_have_one_catalogue,
        _code("def _row(x): ...\n_row(1)\nfrom asyncq.core.settings import Setting, load\nload({})"),
    ),
    (rules.settings_have_one_catalogue, mini({SETTINGS: _CATALOGUE})),
    (_ROWS, mini({SETTINGS: _CATALOGUE})),
    (_ROWS, _settings('_row("app", "app")', 'Setting(name="app", key="app")')),
    (
        rules.named_variables_exist,
        _beside(
            README__md="ASYNCQ_APP, `ASYNCQ_LEASE_FILE`, ASYNCQ_* (or `ASYNCQ_*_FILE`), MY_ASYNCQ_X",
            tests___a__py='"ASYNCQ_WRONG_ON_PURPOSE"',
        ),
    ),
    (_OPTIONS, _commands("click.option('--json', is_flag=True)\nclick.argument('task')\nparser.option('--x')")),
]
