"""What each error means at the command line."""

import inspect

import pytest

from asyncq.core import errors

CODES = {
    errors.AsyncqError: 70,
    errors.ConfigurationError: 2,
    errors.AppImportError: 3,
    errors.HookError: 3,
    errors.RegistryError: 3,
    errors.DuplicateTaskError: 3,
    errors.UnknownTaskError: 3,
    errors.MessageError: 2,
    errors.MessageDecodeError: 2,
    errors.MessageTooLargeError: 2,
    errors.PayloadError: 2,
    errors.BrokerError: 69,
    errors.BrokerUnavailableError: 69,
    errors.BrokerRefusedError: 69,
    errors.OutcomeUnknownError: 69,
    errors.RegistrationLostError: 70,
    errors.PortBusyError: 73,
}


@pytest.mark.parametrize(("kind", "code"), CODES.items())
def test_each_error_ends_a_command_with_its_code(kind: type[errors.AsyncqError], code: int) -> None:
    assert code == kind.exit_code


def test_no_error_of_the_tree_is_left_out_above() -> None:
    tree = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.AsyncqError)}

    assert tree == set(CODES)


def test_what_a_handler_asks_for_is_no_error_of_ours() -> None:
    """Somebody's `except AsyncqError` must not swallow a retry."""
    assert not any(issubclass(kind, errors.AsyncqError) for kind in errors.TaskControl.__subclasses__())


def test_an_unknown_task_is_a_missing_key_that_reads_as_a_sentence() -> None:
    error = errors.UnknownTaskError("nope")

    assert isinstance(error, KeyError)
    assert "no task named 'nope' is registered; import the module whose @task defines it" == str(error)
