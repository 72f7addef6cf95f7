"""`crown migrate-audit-logs`: finds CrownPipe's `.audit.json` files, has them entered, and renames them after.

The file format and the import are defined in crown/journal/old_audit.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crown_cli.common.options import apply_option
from crown_cli.common.output import json_option, show_json
from crown_cli.common.people import acting

if TYPE_CHECKING:
    from sqlalchemy import Engine

AUDIT_FILE = ".audit.json"
MIGRATED = ".audit.json.migrated"


@dataclass
class Migration:
    """What a migration found and entered; `bad` maps a path to the sentence that says why it was left."""

    files: int
    renamed: int
    activities: int
    formats: int
    syncs: int
    known: int
    bad: dict[str, str]


def audit_files(folder: Path, *, again: bool = False) -> Iterator[Path]:
    """The audit files of the products in `folder` and in `folder/products`, by path.

    Args:
        folder: CrownPipe's media folder, or its `products` folder.
        again: also those that a migration has renamed already.
    """
    names = (AUDIT_FILE, MIGRATED) if again else (AUDIT_FILE,)
    for parent in (folder / "products", folder):
        if not parent.is_dir():
            continue
        for product in sorted(parent.iterdir()):
            if product.is_dir() and not product.is_symlink():
                yield from (path for name in names if _may_be(path := product / name))


def _may_be(path: Path) -> bool:
    """Whether something has this name; an unreadable folder counts."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except PermissionError:
        return path.name == AUDIT_FILE
    return True


def migrate(engine: Engine, folder: Path, *, dry_run: bool = False, again: bool = False) -> Migration:
    """Enter every audit file; each gets its new name only after its own rows are committed.

    A migration that is stopped anywhere is taken up by running it again: rows that are there are known, files
    that were not renamed yet are.

    Args:
        engine: our database.
        folder: see `audit_files`.
        dry_run: say what would be entered; nothing is kept and no file is renamed.
        again: read renamed files too, for what CrownPipe's own migration entered with the wrong times.

    Raises:
        BadInput: the folder may not be read.
    """
    from crown.errors import BadInput
    from crown.store import watch

    done = Migration(0, 0, 0, 0, 0, 0, {})
    try:
        found = list(audit_files(folder, again=again))
    except PermissionError as error:
        raise BadInput(f"{error.filename} may not be read; give the right to, then run this again.") from None
    for path in found:
        done.files += 1
        try:
            reason = _take_over(engine, path, done, dry_run=dry_run)
        except PermissionError:
            reason = f"{path} may not be read; give the right to, then run this again."
        if reason is not None:
            done.bad[watch.spelt_out(str(path))] = watch.spelt_out(reason)
    return done


def _take_over(engine: Engine, path: Path, done: Migration, *, dry_run: bool) -> str | None:
    """Enter one file and rename it; a sentence when it was left as it is."""
    from crown.errors import BadInput
    from crown.journal import old_audit
    from crown.store import files

    if path.is_symlink() or not path.is_file():
        return f"{path} is not a file; links are not followed, put the file itself there."
    before = _state(path)
    try:
        audit = old_audit.read_audit_file(path)
    except BadInput as error:
        return str(error)
    with engine.connect() as connection, connection.begin() as transaction:
        entered = old_audit.enter(connection, audit)
        if dry_run:
            transaction.rollback()
    done.activities += entered.activities
    done.formats += entered.formats
    done.syncs += entered.syncs
    done.known += entered.known
    if dry_run or path.name == MIGRATED:
        return None
    if _state(path) != before:
        return f"{path} was written to while it was read; stop CrownPipe, then run this again."
    try:
        path.rename(files.free_name(path.with_name(MIGRATED)))
    except OSError as error:
        return f"{path} is entered but cannot be renamed ({error.strerror}); correct the folder's rights."
    done.renamed += 1
    return None


def _state(path: Path) -> tuple[int, int, int]:
    status = path.lstat()
    return status.st_ino, status.st_size, status.st_mtime_ns


@click.command("migrate-audit-logs")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--again", is_flag=True, help="Also read files that a migration has renamed already.")
@apply_option
@json_option
@click.pass_context
def migrate_audit_logs(
    context: click.Context, folder: Path, again: bool, carry_out: bool, as_json: bool
) -> None:
    """Take over CrownPipe's .audit.json files below DIR with their own times and users.

    DIR is the old media folder or its products folder. A file is renamed to .audit.json.migrated once its rows
    are committed; running it again adds only what is new. --again reads renamed files too: CrownPipe's own
    migration entered them under the time of the migration. Exit code 1 when a file was left.
    Shows what would be entered; --apply carries it out.

    \b
    crown migrate-audit-logs /srv/media
    crown migrate-audit-logs /srv/media --apply --json
    """  # noqa: D301 - click's mark for lines that keep their breaks
    from crown_cli.common.world import open_world

    with open_world() as world:
        acting(world.engine, None, "administer")
        done = migrate(world.engine, folder, dry_run=not carry_out, again=again)
    if as_json:
        show_json({"applied": carry_out, **vars(done)})
    else:
        _say(done, carry_out)
    context.exit(1 if done.bad else 0)


def _say(done: Migration, applied: bool) -> None:
    click.echo(
        f"{done.files:,} audit files: {done.activities:,} acts, {done.formats:,} formats and"
        f" {done.syncs:,} publications {'entered' if applied else 'would be new'}, {done.known:,} known already."
    )
    for sentence in done.bad.values():
        click.echo(sentence, err=True)
    if done.bad:
        click.echo(f"{len(done.bad):,} files were left as they are.", err=True)
