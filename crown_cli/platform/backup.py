"""`crown backup` and `crown restore`."""

from __future__ import annotations

from pathlib import Path

import click

from crown_cli.common.options import apply_option
from crown_cli.common.output import json_option, show_json, size


@click.command()
@click.argument("target", type=click.Path(path_type=Path, file_okay=False))
@click.option("--files", is_flag=True, help="Also copy the originals that TARGET does not hold yet.")
@click.option("--without-dagster", is_flag=True, help="Leave out Dagster's own history of runs.")
@json_option
@click.pass_context
def backup(ctx: click.Context, target: Path, files: bool, without_dagster: bool, as_json: bool) -> None:
    """Save the database into a new folder under TARGET, while everything goes on.

    The folder holds the dump, the list of originals and a manifest with rows and hashes of every table.
    It appears only when it is complete. Ends with 1 when an original turned out to be damaged.

    \b
    crown backup /srv/backups
    crown backup /srv/backups --files        # and the originals
    crown backup /srv/backups --json | jq -r .folder
    """  # noqa: D301
    from crown.database.backup_folder import save
    from crown_cli.common.world import open_world

    with open_world() as world:
        world.engine.dispose()
        done = save(
            world.database_url,
            world.settings.objects,
            target,
            with_dagster=not without_dagster,
            files=files,
        )
    contents, originals = done.manifest.database.contents, done.manifest.originals
    if as_json:
        show_json(
            {
                "folder": done.folder,
                "tables": len(contents.tables),
                "rows": contents.rows,
                "dump_bytes": done.manifest.database.bytes,
                "originals": originals.count,
                "copied": done.copied,
                "damaged": done.damaged,
            }
        )
    else:
        click.echo(
            f"{done.folder}: {contents.rows:,} rows of {len(contents.tables)} tables in "
            f"{size(done.manifest.database.bytes)}; {originals.count:,} originals listed"
            + (f", {done.copied:,} copied." if files else ", not copied.")
        )
    if done.damaged:
        click.echo(
            f"crown: {len(done.damaged)} originals are damaged and were not copied, the first is "
            f"{world.settings.objects / done.damaged[0]}; bring them back from an older backup.",
            err=True,
        )
        ctx.exit(1)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@apply_option
@click.option("--accept-missing", is_flag=True, help="Go on although originals are nowhere to be found.")
@click.option("--without-grants", is_flag=True, help="Leave out grants to other roles.")
@json_option
def restore(folder: Path, carry_out: bool, accept_missing: bool, without_grants: bool, as_json: bool) -> None:
    """Bring back the backup in FOLDER, a crown-DATE.

    It is restored into a scratch database and compared with its manifest; only when every figure agrees
    does it take the place of the database, in one step. The old one is kept under another name, which is
    printed. Nobody may be connected: stop `crown up` or the services first. Without --apply it is restored
    beside, compared, and nothing is replaced.

    \b
    crown restore /srv/backups/crown-20250301T020000Z
    crown restore /srv/backups/crown-20250301T020000Z --apply
    """  # noqa: D301
    from crown.art_records.workspace import kept_objects
    from crown.database.backup_folder import read_manifest
    from crown.database.backup_folder import restore as bring_back
    from crown.database.opening import serve_database
    from crown.database.swap import database_name
    from crown.product_images.orphans import only_rehearsed_at
    from crown_cli.common.world import current_settings

    settings = current_settings()
    manifest = read_manifest(folder)
    with serve_database(settings) as url:
        name = database_name(url)
        restored, originals = bring_back(
            url,
            settings.objects,
            folder,
            dry_run=not carry_out,
            accept_missing=accept_missing,
            with_grants=not without_grants,
            passing=lambda restored: only_rehearsed_at(restored, kept_objects),
        )
    if as_json:
        show_json(
            {
                "made_at": manifest.made_at,
                "rows": restored.rows,
                "tables": restored.tables,
                "revision": restored.revision,
                "kept": restored.kept,
                "originals_there": originals.there,
                "originals_copied_back": len(originals.from_backup) if carry_out else 0,
                "originals_to_copy_back": 0 if carry_out else len(originals.from_backup),
                "originals_missing": originals.missing,
                "originals_cleared": originals.passing,
                "not_carried": restored.not_carried,
            }
        )
        return
    click.echo(f"{restored.rows:,} rows of {restored.tables} tables agree with the manifest.")
    click.echo(
        f"Originals: {originals.there:,} are there, {len(originals.from_backup):,} "
        f"{'were' if carry_out else 'would be'} copied back, {len(originals.missing):,} are missing."
    )
    if originals.passing:
        click.echo(
            f"{len(originals.passing):,} more are gone that only rehearsals of cut-outs made: nothing needs them."
        )
    for note in restored.not_carried:
        click.echo(f"Not carried over, set it again if you need it: {note}.")
    if restored.kept is None:
        click.echo(
            f"Nothing was replaced; --apply puts the backup of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC in the place of "
            f"{name} ({settings.environment})."
        )
    else:
        click.echo(
            f"The restored database is in place. The one before is kept as {restored.kept}; "
            "drop it when you no longer need it."
        )
