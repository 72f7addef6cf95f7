"""Every command explains itself on a terminal of 80 columns, with examples, and answers scripts."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator

import click
import pytest

from crown_cli.main import cli

#: What these answer is a document or a running service.
_NO_JSON = {
    *("crown up", "crown db serve"),
    *("crown sql docs", "crown art export"),
    *("crown motion sample-csv", "crown motion csv", "crown motion profile-script"),
}
#: What these answer is the report of what they did, or of one thing, in several parts.
_REPORTS = {
    *("crown art run", "crown images run", "crown sql run", "crown migrate-v3"),
    *("crown art show", "crown db dump", "crown devices show"),
    *("crown motion card", "crown motion preflight", "crown motion review", "crown motion show"),
    *("crown motion stats", "crown motion upload"),
}
#: What a command that changes or removes much once asked instead of --apply.
_OLD_CONSENT = {"--dry-run", "--yes", "--force-yes"}


def walk(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[click.Context]:
    # click leaves two columns of a terminal free.
    context = click.Context(command, parent, name, terminal_width=78, max_content_width=80)
    yield context
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None, inner
            yield from walk(found, inner, context)


ALL = {context.command_path: context for context in walk(cli, "crown")}
EACH = pytest.mark.parametrize("path", sorted(ALL))


def options(path: str) -> set[str]:
    return {name for parameter in ALL[path].command.params for name in parameter.opts}


@EACH
def test_help_fits_80_columns_and_has_examples(path: str) -> None:
    shown = ALL[path].command.get_help(ALL[path])
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    examples = [line for line in shown.splitlines() if line.strip().startswith("crown ")]
    assert examples or "CROWN_ENVIRONMENT=development crown" in shown, "no example"


@EACH
def test_lists_of_commands_are_not_cut(path: str) -> None:
    shown = ALL[path].command.get_help(ALL[path]).partition("\nCommands:\n")[2]
    lines = shown.splitlines()
    assert [line for line in lines if line.endswith("...")] == []
    if isinstance(ALL[path].command, click.Group):
        assert len(lines) == len(ALL[path].command.list_commands(ALL[path])), "a list entry is wrapped"


@EACH
def test_every_command_answers_scripts_in_json(path: str) -> None:
    if isinstance(ALL[path].command, click.Group) or path in _NO_JSON:
        return
    assert "--json" in options(path)


def _shows_rows(path: str) -> bool:
    callback = ALL[path].command.callback
    if callback is None:
        return False
    code = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(callback))))
    calls = (one.func for one in ast.walk(code) if isinstance(one, ast.Call))
    return any(isinstance(one, ast.Name) and one.id == "show_rows" for one in calls)


@EACH
def test_every_command_that_lists_rows_answers_spreadsheets_in_csv(path: str) -> None:
    if isinstance(ALL[path].command, click.Group) or "--apply" in options(path) or path in _REPORTS:
        return
    assert not _shows_rows(path) or "--csv" in options(path)


@EACH
def test_consent_is_given_by_apply_alone(path: str) -> None:
    assert options(path) & _OLD_CONSENT == set()
