"""Looking into and editing After Effects projects and PSDs. What is read and written is in crown/motion_jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crown_cli.common.output import json_option, show_json, show_rows

if TYPE_CHECKING:
    from crown.motion_jobs.after_effects.ae_edit import EditProof, Edits
    from crown.motion_jobs.matches.template_contract import Contract, JobUse

_file = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
_DIFFERENT = 1  # the exit code of a comparison that found differences, as `diff` has it


@click.command(short_help="What a project or PSD holds.")
@_file
@json_option
def inspect(file: Path, as_json: bool) -> None:
    """Show what an .aepx, .aep, .mogrt, .psd or .psb holds; --json has everything.

    \b
    crown motion inspect promo.aepx
    crown motion inspect spring.psd --json | jq '.layers[].name'
    """  # noqa: D301
    from crown.motion_jobs.file_facts import file_facts

    facts = file_facts(file)
    if as_json:
        show_json(facts)
    elif "compositions" in facts:
        _show_project(facts)
    else:
        _show_psd(facts)


def _show_project(facts: Mapping[str, Any]) -> None:
    name = Path(facts["path"]).name
    click.echo(f"{name}: .{facts['form']} of After Effects {facts['version']}")
    names = {comp["id"]: comp["name"] for comp in facts["compositions"]}
    for comp in facts["compositions"]:
        inside = (
            f", shown in {', '.join(repr(names[one]) for one in comp['shown_in'])}"
            if comp["shown_in"]
            else ""
        )
        title = (
            f"{comp['name']!r} (id:{comp['id']}) {comp['width']}x{comp['height']}, {comp['duration']:g} s, "
            f"{comp['frame_rate']:g} frames/s{inside}"
        )
        rows = [_layer_row(layer) for layer in comp["layers"]]
        click.echo()
        click.echo(title)
        show_rows(rows, empty="  no layers")
    footage = [
        {
            "id": item["id"],
            "footage": item["name"],
            "size": f"{item['width']}x{item['height']}",
            "file": item["file"] or item["kind"],
            "there": {True: "yes", False: "missing", None: "unknown" if item["file"] else ""}[item["exists"]],
            "places": item["places"],
        }
        for item in facts["footage"]
    ]
    show_rows(footage, empty="No footage.")
    for one in facts["expressions"]:
        flag = " (reads files or runs programs)" if one["reads_files"] else ""
        said = "; ".join(one["reads"]) or "nothing that is written out"
        click.echo(f"expression on layer id:{one['layer_id']}, {one['property']}{flag}: reads {said}")
    for one in facts["controllers"]:
        click.echo(f"Essential Graphics {one['type']}: {one['name']}")
    click.echo(f"Fonts: {', '.join(facts['fonts']) or 'none'}")


def _layer_row(layer: Mapping[str, Any]) -> dict[str, object]:
    text = layer["text"] or {}
    style = f"{', '.join(text['fonts'])} {text['size']:g}" if text else ""
    return {
        "#": layer["index"],
        "id": layer["id"],
        "layer": layer["name"],
        "kind": layer["kind"],
        "text": text.get("text", "").replace("\n", " / "),
        "font": style,
        "effects": len(layer["effects"]) or None,
    }


def _show_psd(facts: Mapping[str, Any]) -> None:
    name = Path(facts["path"]).name
    preview = "with a flat picture" if facts["has_preview"] else "without a flat picture"
    click.echo(
        f"{name}: {facts['width']}x{facts['height']}, {facts['mode']}, {facts['depth']} bits, {preview}"
    )
    rows = [
        {
            "id": layer["id"],
            "layer": " / ".join(layer["path"]),
            "kind": layer["kind"],
            "box": ", ".join(map(str, layer["box"])) if layer["box"] else "nothing shows",
            "visible": layer["visible"],
            "content": _content(layer),
        }
        for layer in reversed(facts["layers"])
    ]
    show_rows(rows, empty="No layers.")
    click.echo(f"Fonts: {', '.join(facts['fonts']) or 'none'}")


def _content(layer: Mapping[str, Any]) -> str:
    if layer["text"]:
        return " / ".join(layer["text"]["paragraphs"])
    if layer["smart_object"]:
        return f"{layer['smart_object']['kind']} {layer['smart_object']['filename']}"
    return ""


@click.command(short_help="Prove that a project comes back byte for byte.")
@_file
@json_option
def roundtrip(file: Path, as_json: bool) -> None:
    """Take a project through both of its forms and compare the bytes.

    An .aepx becomes an .aep and comes back, an .aep likewise; of a .mogrt it is the project inside.
    The exit code is 1 when a byte differs.

    \b
    crown motion roundtrip promo.aepx
    """  # noqa: D301
    from crown.motion_jobs.after_effects.ae_project import project_bytes
    from crown.motion_jobs.after_effects.aepx_codec import first_difference

    raw = project_bytes(file)
    difference = first_difference(raw, file.name)
    if as_json:
        show_json(
            {"file": file, "bytes": len(raw), "identical": difference is None, "difference": difference}
        )
    else:
        click.echo(difference or f"{file.name} comes back byte for byte ({len(raw):,} bytes).")
    if difference:
        click.get_current_context().exit(_DIFFERENT)


@click.command(short_help="Change texts and footage, with proof.")
@_file
@click.option("--text", "texts", multiple=True, metavar="LAYER=TEXT", help="New text of a layer.")
@click.option("--footage", multiple=True, metavar="ITEM=FILE", help="New file of a footage item.")
@click.option("--comp", metavar="COMP", help="The composition in which layers are looked for.")
@click.option(
    "--platform",
    type=click.Choice(["macos", "windows"]),
    default="macos",
    show_default=True,
    help="The system of the render machine.",
)
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="New file."
)
@json_option
def edit(
    file: Path,
    texts: Sequence[str],
    footage: Sequence[str],
    comp: str | None,
    platform: str,
    output: Path,
    as_json: bool,
) -> None:
    """Write an edited copy of a project and prove it: only what was asked for differs.

    A layer, item or composition is its name, or id:NUMBER where the name is not unique; an item is also the
    name of its file. `inspect` shows names and ids.

    \b
    crown motion edit promo.aepx --text "Headline=Spring is here" -o out.aepx
    crown motion edit promo.aep --footage logo.png=new.png -o out.aep
    """  # noqa: D301
    from crown.motion_jobs.after_effects.ae_project import read_project
    from crown.motion_jobs.after_effects.edit_requests import changed_places, requested_edits

    if not texts and not footage:
        raise click.UsageError("Nothing to change. Give --text LAYER=TEXT or --footage ITEM=FILE.")
    project = read_project(file)
    edits = requested_edits(project, texts, footage, comp, platform)
    places = changed_places(project, edits)
    proof = _edited(file, edits, output)
    if as_json:
        show_json(
            {
                "output": proof.output,
                "places": places,
                "chunks": proof.changed,
                "verified": proof.verified,
                "opened_in_after_effects": proof.opened_in_after_effects,
            }
        )
        return
    click.echo(f"{_counted(len(places), 'place')} will look different:")
    for place in places:
        click.echo(f"  {place.comp!r} / {place.layer!r} (id:{place.layer_id})")
    click.echo(f"{_counted(len(proof.changed), 'chunk')} of the file changed, nothing else:")
    for one in proof.changed:
        click.echo(f"  {one.path}: {one.old_size or 0:,} to {one.new_size or 0:,} bytes")
    click.echo(f"{output} is written. Verified: {proof.verified}; opened in After Effects: not tested.")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


@click.command(short_help="What differs between two projects or two PSDs.")
@click.argument("old", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("new", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def diff(old: Path, new: Path, as_json: bool) -> None:
    """Say in words what differs: composition or group, layer, property, old and new value.

    The exit code is 0 when nothing differs and 1 when something does.

    \b
    crown motion diff promo_v1.aepx promo_v2.aepx
    crown motion diff spring_v1.psd spring_v2.psd --json
    """  # noqa: D301
    from crown.errors import BadInput
    from crown.motion_jobs.after_effects.ae_diff import project_diff
    from crown.motion_jobs.file_facts import is_psd
    from crown.motion_jobs.photoshop.psd_diff import psd_diff

    if is_psd(old) != is_psd(new):
        raise BadInput(f"{old.name} and {new.name} are not of one kind. Compare two projects or two PSDs.")
    changes = psd_diff(old, new) if is_psd(old) else list(project_diff(old, new).changes)
    if as_json:
        show_json(changes)
    else:
        for change in changes:
            click.echo(change.sentence())
        if not changes:
            click.echo(f"Nothing differs between {old.name} and {new.name}.")
    if changes:
        click.get_current_context().exit(_DIFFERENT)


@click.command(short_help="What a template wants filled.")
@_file
@click.option("--comp", metavar="COMP", help="The composition; default: the one that a job fills.")
@click.option("--sample-csv", is_flag=True, help="Print a CSV to start from.")
@click.option(
    "--against",
    metavar="OLD",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An older version, or its contract: say what changed.",
)
@click.option("--jobs", "with_jobs", is_flag=True, help="With --against: which jobs that breaks or changes.")
@json_option
def template(
    file: Path, comp: str | None, sample_csv: bool, against: Path | None, with_jobs: bool, as_json: bool
) -> None:
    """Show the contract of a template: its slots with kinds, limits and fonts, and its version.

    
    crown motion template promo.aepx
    crown motion template promo.aepx --sample-csv > batch.csv
    crown motion template promo.aepx --json > promo.contract.json
    crown motion template promo.aepx --against promo.contract.json
    """
    from crown.motion_jobs.matches.template_contract import sample_csv as csv_of

    if with_jobs and not against:
        raise click.UsageError("--jobs goes with --against.")
    contract = _contract(file, comp)
    if against:
        older = against.suffix.lower() == ".json"
        old = _read_contract(against) if older else _contract(against, comp)
        _compare(old, contract, [file, against] if with_jobs else [], as_json)
    elif sample_csv:
        click.echo(csv_of(contract), nl=False)
    elif as_json:
        click.echo(contract.as_json(), nl=False)
    else:
        _show_contract(contract)


def _compare(old: Contract, new: Contract, templates: Sequence[Path], as_json: bool) -> None:
    """Say what changed, and of the jobs of these template files which ones that breaks or changes."""
    from crown.motion_jobs.matches.template_contract import affected_jobs, contract_changes

    changes = contract_changes(old, new)
    affected = affected_jobs(old, new, _uses(templates)) if templates else []
    if as_json:
        show_json({"old": old.version, "new": new.version, "changes": changes, "jobs": affected})
        return
    click.echo(f"Version {old.version} to {new.version}.")
    for change in changes or ["Nothing changed."]:
        click.echo(change)
    if templates:
        rows = [
            {"job": one.job_id, "state": one.state, "then": one.severity, "why": "; ".join(one.reasons)}
            for one in affected
        ]
        show_rows(rows, empty="No job is broken or changed.")


def _uses(templates: Sequence[Path]) -> list[JobUse]:
    from crown.motion_jobs.jobs.template_jobs import uses_of
    from crown_cli.motion.shared import open_motion

    with open_motion() as workspace:
        return uses_of(workspace, templates)


def _read_contract(path: Path) -> Contract:
    from crown.motion_jobs.matches.template_contract import read_contract

    return read_contract(path)


def _contract(path: Path, comp: str | None) -> Contract:
    from crown.motion_jobs.after_effects.ae_project import read_project
    from crown.motion_jobs.after_effects.edit_requests import comp_named
    from crown.motion_jobs.matches.template_contract import contract_of
    from crown.motion_jobs.tasks import target_comp

    project = read_project(path)
    comp_id = comp_named(project, comp) if comp else target_comp(project, None)[0]
    return contract_of(project, comp_id)


def _show_contract(contract: Contract) -> None:
    click.echo(
        f"{contract.template}, composition {contract.comp!r} (id:{contract.comp_id}): {contract.width}x"
        f"{contract.height}, {contract.duration:g} s, {contract.frame_rate:g} frames/s, version {contract.version}"
    )
    rows = [
        {
            "id": slot.layer_id,
            "slot": slot.name,
            "kind": slot.kind,
            "required": slot.required,
            "box": f"{slot.width:g}x{slot.height:g}" if slot.width else "",
            "characters": slot.characters
            if slot.characters is not None
            else "unknown"
            if slot.kind == "text"
            else "",
            "font": ", ".join(slot.fonts),
            "now": slot.default.replace("\n", " / ") + (" (by expression)" if slot.driven else ""),
        }
        for slot in contract.slots
    ]
    show_rows(rows, empty="It has no slots.")
    twins = sorted({slot.name for slot in contract.slots if not slot.unique})
    if twins:
        click.echo(
            f"Names of several slots: {', '.join(map(repr, twins))}. Matching cannot distinguish them."
        )


@click.command(short_help="Show or fill the hard card of a template.")
@_file
@click.option("--comp", metavar="COMP", help="The composition that holds the data; default: Hard Card.")
@click.option(
    "--values",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON file of names and values to fill in.",
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="New file, with --values."
)
@json_option
def card(file: Path, comp: str | None, values: Path | None, output: Path | None, as_json: bool) -> None:
    """Show the data composition of a template, and what reads each variable; with --values fill it.

    \b
    crown motion card promo.aepx
    crown motion card promo.aepx --values match.json -o filled.aepx
    """  # noqa: D301
    from crown.motion_jobs.after_effects.ae_project import read_project
    from crown.motion_jobs.after_effects.expression_reads import effect_names, reads_of
    from crown.motion_jobs.after_effects.hard_card import fill_card, hard_card, read_values

    if (values is None) != (output is None):
        raise click.UsageError("--values and -o go together.")
    project = read_project(file)
    found = hard_card(project, reads_of(project, effect_names(file)), comp)
    if values and output:
        filling = fill_card(found, read_values(values))
        proof = _edited(file, filling.edits, output)
        if as_json:
            show_json(
                {
                    "output": output,
                    "filled": len(filling.edits.texts),
                    "unknown": filling.unknown,
                    "kept": filling.kept,
                }
            )
            return
        click.echo(
            f"{_counted(len(filling.edits.texts), 'variable')} filled, {_counted(len(filling.kept), 'variable')} kept."
        )
        if filling.unknown:
            click.echo(f"No variable: {', '.join(filling.unknown)}.")
        click.echo(f"{output} is written. Verified: {proof.verified}; opened in After Effects: not tested.")
    elif as_json:
        show_json(found)
    else:
        rows = [
            {"id": one.layer_id, "variable": one.name, "value": one.value, "read by": ", ".join(one.readers)}
            for one in found.variables
        ]
        show_rows(
            rows, title=f"{found.comp!r} (id:{found.comp_id})", empty=f"{found.comp!r} has no text layer."
        )
        for problem in found.problems:
            click.echo(problem)


def _edited(file: Path, edits: Edits, output: Path) -> EditProof:
    from crown.errors import Refused
    from crown.motion_jobs.after_effects.ae_edit import edit_project

    if output.exists():
        raise Refused(f"{output} exists already. Remove it, or name another file.")
    return edit_project(file, edits, output)


COMMANDS = (inspect, roundtrip, edit, diff, template, card)
