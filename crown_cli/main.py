"""The `crown` command: one table of commands, loaded when called, and one form of error message.

Each command is in its own file; a new command is one line in COMMANDS.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from typing import Any

import click

#: Name: its module, and the line in the list of commands (so that listing loads nothing).
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("crown_cli.platform.up:up", "Start everything: database, daemon, console."),
    "demo": ("crown_cli.demo.commands:demo", "Run sample pictures from the inbox to the share."),
    "status": ("crown_cli.platform.status:status", "What is made, waiting and failed, per department."),
    "images": ("crown_cli.images.commands:images", "Product images: plan, run, approve, trace."),
    "art": ("crown_cli.art.commands:art", "Art records."),
    "motion": ("crown_cli.motion.commands:motion", "Motion jobs: CSV batches to checked packages."),
    "devices": ("crown_cli.devices.commands:devices", "Wireless microphones: collect, status, alerts."),
    "sql": ("crown_cli.sql:sql", "SQL models: list, run, test."),
    "hold": ("crown_cli.platform.holding:hold", "Take items out of work until they are released."),
    "release": ("crown_cli.platform.holding:release", "Give held items back to the next run."),
    "people": ("crown_cli.platform.people:people", "Users, roles and API tokens."),
    "logs": ("crown_cli.platform.journal:logs", "What the program logged; --follow."),
    "activity": ("crown_cli.platform.journal:activity", "Who did what to what; --follow."),
    "doctor": ("crown_cli.platform.doctor:doctor", "What is wrong here, and what to do about it."),
    "env": ("crown_cli.platform.doctor:env", "The variables that plain `dagster dev` needs."),
    "backup": ("crown_cli.platform.backup:backup", "Save the database, and the originals if asked."),
    "restore": (
        "crown_cli.platform.backup:restore",
        "Bring a backup back, after comparing it.",
    ),
    "notify": ("crown_cli.platform.notify:notify", "Send a notice that something failed."),
    "db": ("crown_cli.platform.database:db", "The database: serve, stats, migrate, reset."),
    "migrate-audit-logs": (
        "crown_cli.images.audit_logs:migrate_audit_logs",
        "Take over CrownPipe's .audit.json.",
    ),
    "migrate-v3": ("crown_cli.platform.migrate_v3:migrate_v3", "Take over CrownPipe's database."),
}

#: What a shell says of a program that was ended by SIGPIPE, as `head` ends others.
_SIGPIPE = 141


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, never to list them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command; None for a name that is not in the table."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click, with the nearest known name for an unknown one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"; did you mean `crown {near[0]}`" if near else ", see `crown --help`"
            ctx.fail(f"`crown {args[0]}` is not a command{hint}.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """As click; words that are no text are refused, unless they are the name of a file that is there."""
        for word in args:
            if not _is_text(word) and not os.path.lexists(word):
                raise click.UsageError(f"{word!a} holds bytes that are no text (UTF-8); write it in UTF-8.")
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; an error becomes one sentence, unless --debug asks for the traceback."""
        from crown.errors import CrownError

        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:
            if not _reader_is_gone():
                raise
            ctx.exit(_SIGPIPE)
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            if isinstance(error, CrownError):
                _say(str(error))
                ctx.exit(error.exit_code)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                where = error.filename or "the answer"
                _say(f"{where} cannot be written ({error.strerror}); free some space, then try again.")
                ctx.exit(1)
            _say(f"unexpected {type(error).__name__}: {error}; `crown --debug ...` shows where.")
            ctx.exit(70)  # EX_SOFTWARE of sysexits.h


def _reader_is_gone() -> bool:
    """Whether nobody reads our answer any more (`| head`); what is left of it goes nowhere then."""
    import select

    answer = select.poll()
    answer.register(sys.stdout.fileno(), 0)
    if not any(event & select.POLLERR for _, event in answer.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _say(sentence: str) -> None:
    click.echo(f"crown: {' '.join(sentence.split())}", err=True)


def _show_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        from crown.settings.versions import version

        click.echo(f"crown {version()}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version.",
)
def cli(debug: bool) -> None:
    """Pictures and records as software-defined assets: with lineage and review by people.

    Settings are CROWN_* variables or lines of .env in the current folder; docs/settings.md lists them.

    \b
    crown up                      start everything, stop with Ctrl-C
    crown doctor                  what is wrong, and what to do
    crown images status --json    an answer for a script
    """  # noqa: D301 - click's mark for lines that keep their breaks


def main() -> None:
    """The entry point. File names may be any bytes: what is no text, or would steer the terminal, is spelt out."""
    from crown_cli.common.streams import Visible

    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            setattr(sys, name, Visible(stream))
    cli(prog_name="crown")


if __name__ == "__main__":
    main()
