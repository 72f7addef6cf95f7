"""Every command explains itself on a terminal of 80 columns, with examples, and answers scripts."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from crown_cli.main import cli

#: What these answer is a document or a running service.
_NO_JSON = {
    *("crown up", "crown db serve", "crown db migrate", "crown db upgrade"),
    *("crown sql docs", "crown art export"),
}
#: What a command that changes or removes much once asked instead of --apply.
_OLD_CONSENT = {"--dry-run", "--yes", "--force-yes"}


def walk(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[click.Context]:
    context = click.Context(command, parent, name, terminal_width=80, max_content_width=80)
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


@EACH
def test_consent_is_given_by_apply_alone(path: str) -> None:
    assert options(path) & _OLD_CONSENT == set()
