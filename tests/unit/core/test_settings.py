"""The catalogue of settings: precedence, wrong values, files, secrets."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from asyncq.core.errors import ConfigurationError
from asyncq.core.settings import CATALOGUE, Settings, load


def loaded_in(folder: Path, flags=None, environ=None):
    return load(flags or {}, environ or {}, folder)


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)


def test_every_default_is_a_value_its_own_parser_would_give():
    for setting in CATALOGUE:
        if setting.default not in (None, ()):
            assert setting.parser.read(setting.default) == setting.default, setting.name


def test_catalogue_and_settings_name_the_same_fields_and_no_flag_twice():
    assert [setting.name for setting in CATALOGUE] != []
    assert {setting.name for setting in CATALOGUE} == {field.name for field in dataclasses.fields(Settings)}
    assert len({setting.flag for setting in CATALOGUE}) == len(CATALOGUE)
    assert len({setting.variable for setting in CATALOGUE}) == len(CATALOGUE)


def test_defaults_hold_when_nobody_says_anything(tmp_path):
    loaded = loaded_in(tmp_path)
    expected = Settings(
        app=None,
        queues=(),
        procs="auto",
        per_proc=50,
        preload=True,
        redis_url=None,
        redis_server=None,
        delivery="at-least-once",
        lease_s=15.0,
        on_lease_lost="continue",
        boot_timeout_s=60.0,
        watchdog_s=20.0,
        crash_loop_exit_s=45.0,
        redis_give_up_s=0.0,
        drain_timeout_s=25.0,
        cancel_timeout_s=3.0,
        unknown_task_park_s=600.0,
        max_message_bytes=1024 * 1024,
        metrics_host="127.0.0.1",
        metrics_port=9464,
        log_format="auto",
        log_level="INFO",
    )
    assert loaded.settings == expected
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.folder == tmp_path


@pytest.mark.parametrize(
    ("expected", "origin", "flag", "variable", "file_variable", "toml"),
    [
        (1, "the command line", "1", "2", None, "4"),
        (2, "ASYNCQ_PER_PROC", None, "2", None, "4"),
        (3, "ASYNCQ_PER_PROC_FILE", None, None, "3\n", "4"),
        (4, "asyncq.toml", None, None, None, "4"),
        (4, "asyncq.toml", None, "", None, "4"),
        (50, "default", None, None, None, None),
    ],
)
def test_the_nearest_origin_wins(tmp_path, expected, origin, flag, variable, file_variable, toml):
    environ = {}
    if variable is not None:
        environ["ASYNCQ_PER_PROC"] = variable
    if file_variable is not None:
        write(tmp_path, "value", file_variable)
        environ["ASYNCQ_PER_PROC_FILE"] = str(tmp_path / "value")
    if toml is not None:
        write(tmp_path, "asyncq.toml", f"per-proc = {toml}\n")
    loaded = loaded_in(tmp_path, {"per_proc": flag}, environ)
    assert (loaded.settings.per_proc, loaded.origins["per_proc"]) == (expected, origin)


def test_environment_is_read_at_the_call_when_none_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("ASYNCQ_PER_PROC", "7")
    assert load({}, folder=tmp_path).settings.per_proc == 7
    monkeypatch.setenv("ASYNCQ_PER_PROC", "8")
    assert load({}, folder=tmp_path).settings.per_proc == 8


def test_redis_url_comes_from_our_variable_before_the_worlds(tmp_path):
    both = {"ASYNCQ_REDIS_URL": "redis://ours:1/0", "REDIS_URL": "redis://worlds:2/0"}
    assert loaded_in(tmp_path, environ=both).settings.redis_url == "redis://ours:1/0"
    one = loaded_in(tmp_path, environ={"REDIS_URL": "redis://worlds:2/0"})
    assert (one.settings.redis_url, one.origins["redis_url"]) == ("redis://worlds:2/0", "REDIS_URL")


@pytest.mark.parametrize(
    ("expected", "origin", "flag", "file_variable", "fallback"),
    [
        ("redis://flag", "the command line", "redis://flag", "redis://file", "redis://worlds"),
        ("redis://file", "ASYNCQ_REDIS_URL_FILE", None, "redis://file", "redis://worlds"),
        ("redis://worlds", "REDIS_URL", None, None, "redis://worlds"),
        ("redis://toml", "asyncq.toml", None, None, ""),
    ],
)
def test_the_worlds_variable_comes_after_our_own_and_before_the_folder(
    tmp_path, expected, origin, flag, file_variable, fallback
):
    write(tmp_path, "asyncq.toml", 'redis = "redis://toml"\n')
    environ = {"REDIS_URL": fallback}
    if file_variable is not None:
        write(tmp_path, "secret", file_variable + "\n")
        environ["ASYNCQ_REDIS_URL_FILE"] = str(tmp_path / "secret")
    loaded = loaded_in(tmp_path, {"redis_url": flag}, environ)
    assert (loaded.settings.redis_url, loaded.origins["redis_url"]) == (expected, origin)


def test_pyproject_table_counts_and_is_named(tmp_path):
    write(tmp_path, "pyproject.toml", '[project]\nname = "x"\n[tool.asyncq]\nqueue = ["a", "b"]\nlease = "1m"\n')
    loaded = loaded_in(tmp_path)
    assert (loaded.settings.queues, loaded.settings.lease_s) == (("a", "b"), 60.0)
    assert loaded.origins["lease_s"] == "pyproject.toml [tool.asyncq]"


@pytest.mark.parametrize("raw", ["a,b", ["a", "b"], ("a", "b,a"), " a , b ", "a,,b,", ("a,", " b "), ["a,b,"]])
def test_queues_may_be_a_list_or_text_with_commas(tmp_path, raw):
    assert loaded_in(tmp_path, {"queues": raw}).settings.queues == ("a", "b")


@pytest.mark.parametrize(
    ("expected_s", "raw"),
    [
        (316_224_000, "3660d"),
        (10, 10),
        (0.5, 0.5),
        (10, "10"),
        (10, "10s"),
        (300, "5m"),
        (0.25, "250ms"),
        (7200, "2h"),
        (86400, "1d"),
        (0, 0),
    ],
)
def test_durations_take_numbers_and_units(tmp_path, expected_s, raw):
    assert loaded_in(tmp_path, {"drain_timeout_s": raw}).settings.drain_timeout_s == expected_s


@pytest.mark.parametrize(
    ("expected", "raw"), [(4096, 4096), (524288, "512KiB"), (1048576, "1MiB"), (2**31, "2GiB"), (2048, "2048B")]
)
def test_sizes_take_numbers_and_units(tmp_path, expected, raw):
    assert loaded_in(tmp_path, {"max_message_bytes": raw}).settings.max_message_bytes == expected


@pytest.mark.parametrize("raw", ["tasks", "shop.tasks", "shop.mail.tasks", " _t4sks ", "täsks"])
def test_an_app_is_any_module(tmp_path, raw):
    assert loaded_in(tmp_path, {"app": raw}).settings.app == raw.strip()


@pytest.mark.parametrize(
    ("expected", "raw"),
    [
        *[(True, raw) for raw in (True, "true", "True", "yes", "on", "1", " YES ")],
        *[(False, raw) for raw in (False, "false", "FALSE", "no", "off", "0")],
    ],
)
def test_yes_and_no_take_words_and_booleans(tmp_path, expected, raw):
    assert loaded_in(tmp_path, {"preload": raw}).settings.preload is expected


@pytest.mark.parametrize(
    ("expected", "origin", "flag", "environ"),
    [
        (True, "the command line", True, {"ASYNCQ_PRELOAD": "no"}),
        (False, "the command line", False, {"ASYNCQ_PRELOAD": "yes"}),
        (True, "ASYNCQ_PRELOAD", None, {"ASYNCQ_PRELOAD": "yes"}),
        (False, "asyncq.toml", None, {}),
    ],
)
def test_a_no_of_the_command_line_is_no_missing_flag(tmp_path, expected, origin, flag, environ):
    write(tmp_path, "asyncq.toml", "preload = false\n")
    loaded = loaded_in(tmp_path, {"preload": flag}, environ)
    assert (loaded.settings.preload, loaded.origins["preload"]) == (expected, origin)


def test_a_switch_has_a_flag_for_no_and_is_shown_as_files_write_it():
    row = next(setting for setting in CATALOGUE if setting.name == "preload")
    assert row.spellings == ("--preload", "--no-preload")
    assert (row.shown(True), row.shown(False)) == ("true", "false")
    assert [setting.name for setting in CATALOGUE if setting.is_switch] == ["preload"]


WRONG = [
    ("procs", "many", "--procs: expected 'auto' or a whole number from 1 to 1024, found 'many'"),
    ("procs", "0", "--procs: expected 'auto' or"),
    ("procs", "1025", "--procs: expected 'auto' or"),
    ("procs", True, "found True"),
    ("queues", ("a b", "c"), "found 'a b,c' (from"),
    ("drain_timeout_s", 316_224_001, "--drain-timeout: expected seconds from 0 to 3660d, as in 10"),
    ("drain_timeout_s", "3661d", "--drain-timeout: expected seconds from 0 to 3660d, as in 10"),
    ("unknown_task_park_s", "1000000000000", "--unknown-task-park: expected seconds from 0 to 3660d"),
    ("per_proc", "-1", "--per-proc: expected a whole number from 1 to 100000, found '-1'"),
    ("per_proc", "1.5", "found '1.5'"),
    ("per_proc", 10**400, "--per-proc: expected"),
    ("preload", "maybe", "--preload: expected true or false, yes or no, on or off, 1 or 0, found 'maybe'"),
    ("preload", 1, "--preload: expected true or false, yes or no, on or off, 1 or 0, found 1"),
    ("boot_timeout_s", "0", "--boot-timeout: expected seconds from 1"),
    ("crash_loop_exit_s", "0", "--crash-loop-exit: expected seconds from 1"),
    ("redis_give_up_s", "never", "--redis-give-up: expected seconds from 0"),
    ("queues", "a b", "--queue: expected queue names (1 to 128 of the characters"),
    ("queues", ",", "--queue: expected queue names"),
    ("queues", "a{b", "--queue: expected queue names"),
    ("queues", "asyncq:mail", "--queue: expected queue names"),
    ("queues", "q" * 129, "--queue: expected queue names"),
    ("queues", [1], "--queue: expected queue names"),
    ("delivery", "exactly-once", "expected one of at-least-once, at-most-once, found 'exactly-once'"),
    ("drain_timeout_s", "soon", "--drain-timeout: expected seconds from 0 to 3660d, as in 10, 10s or 5m, found 'soon'"),
    ("drain_timeout_s", "-3", "--drain-timeout: expected seconds from 0"),
    ("drain_timeout_s", float("nan"), "found nan"),
    ("drain_timeout_s", float("inf"), "found inf"),
    ("drain_timeout_s", 10**400, "--drain-timeout: expected seconds"),
    ("drain_timeout_s", "9" * 400, "--drain-timeout: expected seconds"),
    ("on_lease_lost", "stop", "--on-lease-lost: expected one of continue, cancel, found 'stop'"),
    ("lease_s", "500ms", "--lease: expected seconds from 1"),
    ("max_message_bytes", "1023", "--max-message-bytes: expected bytes from 1024"),
    ("max_message_bytes", "1MB", "--max-message-bytes: expected bytes from 1024"),
    ("metrics_port", "65536", "--metrics-port: expected a whole number from 0 to 65535, found '65536'"),
    ("metrics_host", "", "--metrics-host: expected an address"),
    ("log_format", "xml", "--log-format: expected one of auto, text, json, found 'xml'"),
    ("log_level", "LOUD", "--log-level: expected one of DEBUG, INFO, WARNING, ERROR"),
    ("redis_url", "localhost:6379", "--redis: expected a URL such as redis://host:6379/0"),
    ("redis_url", "http://x", "--redis: expected a URL"),
    ("redis_url", "redis://", "--redis: expected a URL"),
    ("redis_url", "rediss://", "--redis: expected a URL"),
    ("redis_url", "unix://", "--redis: expected a URL"),
    ("app", "tasks.py", "--app: expected a module name such as tasks, shop.tasks or shop.tasks:registry"),
    ("app", "my/tasks", "--app: expected a module name"),
    ("app", "tasks:", "--app: expected a module name"),
    ("app", "tasks:my.registry", "--app: expected a module name"),
    ("app", "shop..tasks", "--app: expected a module name"),
    ("app", ".tasks", "--app: expected a module name"),
    ("app", "4tasks", "--app: expected a module name"),
]


@pytest.mark.parametrize(("name", "raw", "sentence"), WRONG)
def test_wrong_value_is_refused_with_what_was_expected_and_what_came(tmp_path, name, raw, sentence):
    with pytest.raises(ConfigurationError) as caught:
        loaded_in(tmp_path, {name: raw})
    assert sentence in str(caught.value)
    assert str(caught.value).endswith("(from the command line)")


def test_every_setting_has_a_wrong_value_in_the_table_above():
    free_text = {"redis_server"}  # judged by running it
    same_parser = {"watchdog_s", "cancel_timeout_s"}
    assert {name for name, _, _ in WRONG} | free_text | same_parser == {setting.name for setting in CATALOGUE}


def test_wrong_value_names_its_variable(tmp_path):
    with pytest.raises(ConfigurationError, match=r"found 'many' \(from ASYNCQ_PROCS\)$"):
        loaded_in(tmp_path, environ={"ASYNCQ_PROCS": "many"})


@pytest.mark.parametrize("raw", ["localhost:sec@ret@host", "http://me:secret", "h?password=secret", "secret", ["sec"]])
def test_a_wrong_value_of_a_secret_is_not_printed(tmp_path, raw):
    with pytest.raises(ConfigurationError, match=r"found something else \(from the command line\)") as caught:
        loaded_in(tmp_path, {"redis_url": raw})
    assert "sec" not in str(caught.value)


def test_shown_value_of_a_secret_has_no_password():
    row = next(setting for setting in CATALOGUE if setting.name == "redis_url")
    assert row.shown("rediss://me:s@:/cret@host:6379/1") == "rediss://***@host:6379/1"
    assert row.shown("unix:///run/r.sock?db=1&password=secret") == "unix:///run/r.sock?db=1&password=***"


@pytest.mark.parametrize(("expected", "value"), [("1000000", 1e6), ("0.25", 0.25), ("316224000", 316224000.0)])
def test_seconds_are_shown_as_they_are(expected, value):
    row = next(setting for setting in CATALOGUE if setting.name == "lease_s")
    assert row.shown(value) == expected


def test_auto_may_have_blanks_around_it(tmp_path):
    assert loaded_in(tmp_path, {}, {"ASYNCQ_PROCS": " auto "}).settings.procs == "auto"


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("per_proc", "did you mean 'per-proc'?"),
        ("proc", "did you mean 'procs'?"),
        ("zzz", "the settings are app, queue,"),
    ],
)
def test_unknown_key_of_a_file_is_refused_with_a_suggestion(tmp_path, key, hint):
    write(tmp_path, "asyncq.toml", f"{key} = 1\n")
    with pytest.raises(ConfigurationError) as caught:
        loaded_in(tmp_path)
    assert f"asyncq.toml: unknown setting {key!r}; {hint}" in str(caught.value)


def test_variable_and_its_file_together_are_refused(tmp_path):
    environ = {"ASYNCQ_PROCS": "1", "ASYNCQ_PROCS_FILE": "/nowhere"}
    with pytest.raises(ConfigurationError, match="expected one of ASYNCQ_PROCS and ASYNCQ_PROCS_FILE, found both"):
        loaded_in(tmp_path, environ=environ)


def test_unreadable_file_of_a_variable_is_refused(tmp_path):
    environ = {"ASYNCQ_REDIS_URL_FILE": str(tmp_path / "none")}
    with pytest.raises(ConfigurationError, match=r"ASYNCQ_REDIS_URL_FILE: expected a readable file, found .*No such"):
        loaded_in(tmp_path, environ=environ)


def test_file_of_a_variable_that_is_no_text_is_refused_without_showing_it(tmp_path):
    (tmp_path / "secret").write_bytes(b"redis://:s\xe9cret@host")
    environ = {"ASYNCQ_REDIS_URL_FILE": str(tmp_path / "secret")}
    with pytest.raises(ConfigurationError, match=r"ASYNCQ_REDIS_URL_FILE: .*: it is not UTF-8 text$") as caught:
        loaded_in(tmp_path, environ=environ)
    assert "cret@" not in str(caught.value)


@pytest.mark.parametrize("name", ["asyncq.toml", "pyproject.toml"])
def test_file_of_the_folder_that_is_no_text_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b'app = "t\xe4sks"\n')
    with pytest.raises(ConfigurationError, match=rf"{name}: expected a readable file, .*: it is not UTF-8 text$"):
        loaded_in(tmp_path)


def test_settings_in_two_files_are_refused(tmp_path):
    write(tmp_path, "asyncq.toml", "procs = 1\n")
    write(tmp_path, "pyproject.toml", "[tool.asyncq]\nprocs = 2\n")
    with pytest.raises(ConfigurationError, match="expected one place"):
        loaded_in(tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("procs = ", "expected TOML"), ("[tool]\nasyncq = 3\n", "expected a table of settings, found 3")],
)
def test_broken_file_is_refused(tmp_path, text, sentence):
    write(tmp_path, "pyproject.toml", text)
    with pytest.raises(ConfigurationError, match=sentence):
        loaded_in(tmp_path)
