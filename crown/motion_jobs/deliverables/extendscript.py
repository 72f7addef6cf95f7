"""Scripts that fill a template inside After Effects (ES3), each checked and run before it is handed out.

A value goes into a script as JSON in ASCII, so that no quote, line break or alphabet can end its string. The
script is parsed as ES3 and run against a model of After Effects' objects; what it leaves there must be what
was asked for. That it also runs in After Effects is not proven.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import quote

from crown.errors import Refused
from crown.motion_jobs.after_effects.ae_project import Layer, Project
from crown.motion_jobs.deliverables.es3 import es3_problems

_SCRIPTS = Path(__file__).with_name("scripts")
_MARK = "/*JOB*/{}"
_SECONDS = 5.0
_MEMORY = 256 * 1024 * 1024
_UNNAMED = "<empty text layer>"


@dataclass(frozen=True, slots=True)
class ScriptOrder:
    """What a script does. Paths are those that the render machine sees.

    Attributes:
        job_id: Names the undo step.
        texts: Texts by layer id.
        pictures: Files for layers, by layer id: the layer alone gets a new source.
        footage: Files for footage items, by item id: every layer that shows the item changes.
        project: The project to open; without one, the script works on the project that is open.
        save_as: Where to save the filled project.
        report: Where to write what was done, as text.
    """

    job_id: str
    texts: Mapping[int, str] = field(default_factory=dict)
    pictures: Mapping[int, str] = field(default_factory=dict)
    footage: Mapping[int, str] = field(default_factory=dict)
    project: str | None = None
    save_as: str | None = None
    report: str | None = None


def extendscript(project: Project, order: ScriptOrder) -> str:
    """The script of an order, proven against the project.

    Raises:
        Refused: Something asked for does not exist, or the script would not do it.
    """
    layers = {layer.id: (comp.id, layer) for comp in project.compositions for layer in comp.layers}
    job = {
        "id": order.job_id,
        "project": _uri(order.project),
        "saveAs": _uri(order.save_as),
        "report": _uri(order.report),
        "texts": [
            {**_address(project, layers, one), "text": carriage_returns(text)}
            for one, text in order.texts.items()
        ],
        "pictures": [
            {**_address(project, layers, one), "file": _uri(file)} for one, file in order.pictures.items()
        ],
        "footage": [{"item": one, "file": _uri(file)} for one, file in order.footage.items()],
    }
    template = (_SCRIPTS / "fill_composition.jsx").read_text("ascii")
    source = template.replace(_MARK, json.dumps(job, ensure_ascii=True, indent=1))
    _refuse_unproven(project, order, source)
    return source


def carriage_returns(text: str) -> str:
    """A text as After Effects keeps it: a carriage return ends a paragraph, U+0003 is a soft return."""
    return text.replace("\r\n", "\n").replace("\n", "\r")


def extendscript_uri(path: str) -> str:
    """A full path as ExtendScript's File takes it on every system, percent signs and all.

    Raises:
        Refused: It is no full path.
    """
    windows = PureWindowsPath(path)
    if windows.drive.endswith(":") and windows.root:
        return f"/{windows.drive[0].lower()}{quote(windows.as_posix()[2:])}"
    if windows.drive and windows.root:
        return quote(windows.as_posix())
    if path.startswith("/"):
        return quote(PurePosixPath(path).as_posix())
    raise Refused(f"{path!r} is no full path on the render machine. Write it from the drive or root on.")


def _uri(path: str | None) -> str | None:
    return None if path is None else extendscript_uri(path)


def _address(project: Project, layers: Mapping[int, tuple[int, Layer]], layer_id: int) -> dict[str, Any]:
    if layer_id not in layers:
        raise Refused(f"{project.path.name} has no layer with the id {layer_id}.")
    comp_id, layer = layers[layer_id]
    name = "" if layer.name == _UNNAMED else layer.name
    return {"comp": comp_id, "index": layer.index, "name": name}


@dataclass(frozen=True, slots=True)
class Run:
    """What a script left behind in the model of After Effects."""

    result: str
    exit_code: int
    texts: Mapping[int, str]
    sources: Mapping[int, int | None]
    files: Mapping[int, str]
    written: Mapping[str, str]
    saved: str | None
    opened: str | None
    dialogs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelMachine:
    """The machine of the model. Fonts are families of PostScript names, each with whether it replaces another."""

    version: str = "25.5x4"
    language: str = "en_US"
    system: str = "Macintosh OS 14"
    script: str = "/scripts/script.jsx"
    effects: tuple[str, ...] = ()
    fonts: tuple[tuple[tuple[str, bool], ...], ...] | None = ()


def run_script(
    source: str,
    project: Project,
    files: set[str],
    windows: bool = False,
    machine: ModelMachine = ModelMachine(),
) -> Run:
    """Run a script against the model of a project, within limits of time and memory, without what ES3 lacks.

    Args:
        source: The script.
        project: What the model holds.
        files: The files that are there, as the render machine names them.
        windows: Whether the render machine runs Windows.
        machine: What the machine has.

    Raises:
        Refused: The script fails or takes too long.
    """
    from py_mini_racer import JSEvalException, JSTimeoutException, MiniRacer

    model = json.dumps(
        {**_model(project), "files": sorted(files), "windows": windows, "machine": asdict(machine)}
    )
    library = (_SCRIPTS / "after_effects_model.js").read_text("ascii")
    context = MiniRacer()
    try:
        context.eval(f"var MODEL = {json.dumps(model)};\n{library}")
        said = context.eval(f"runScript({json.dumps(source)})", timeout_sec=_SECONDS, max_memory=_MEMORY)
    except JSTimeoutException:
        context.eval("0")  # waits until the engine has let go of the script, before it is closed
        raise Refused(
            f"The script does not end within {_SECONDS:.0f} s in the model of After Effects."
        ) from None
    except JSEvalException as error:
        first = next((line for line in str(error).splitlines() if "Error" in line), str(error)[:200])
        raise Refused(f"The script fails in the model of After Effects: {first.strip()[:300]}") from None
    finally:
        context.close()
    left = json.loads(str(said))
    return Run(
        result=left["result"],
        exit_code=left["exitCode"],
        texts=dict(left["texts"]),
        sources=dict(left["sources"]),
        files=dict(left["files"]),
        written=left["written"],
        saved=left["saved"],
        opened=left["opened"],
        dialogs=tuple(left["dialogs"]),
    )


def _model(project: Project) -> dict[str, Any]:
    texts = {
        one.layer_id: one.code for one in project.expressions if one.property.endswith("ADBE Text Document")
    }
    return {
        "comps": [
            {
                "id": comp.id,
                "name": comp.name,
                "layers": [
                    {
                        "id": layer.id,
                        "name": layer.name,
                        "source": layer.source_id,
                        "text": carriage_returns(layer.text.text) if layer.text else None,
                        "keys": 0,
                        "expression": texts.get(layer.id, ""),
                    }
                    for layer in comp.layers
                ],
            }
            for comp in project.compositions
        ],
        "footage": [{"id": item.id, "name": item.name, "file": item.file} for item in project.footage],
    }


def _refuse_unproven(project: Project, order: ScriptOrder, source: str) -> None:
    """Refuse a script that is no ES3, or that leaves anything else in the model than what was asked for."""
    name = project.path.name
    if problems := es3_problems(source):
        raise Refused(f"The script for {name} is no ES3: {problems[0]}.")
    asked = [*order.pictures.values(), *order.footage.values()]
    windows = any(PureWindowsPath(one).drive for one in (*asked, order.project or "", order.save_as or ""))
    files = {_seen(one, windows) for one in (*asked, *([order.project] if order.project else ()))}
    kept = {item.file for item in project.footage if item.file and item.id not in order.footage}
    run = run_script(source, project, files | kept, windows)
    if run.exit_code:
        raise Refused(f"The script for {name} does not do what was asked: {run.result}")
    wrong = [one for one, text in order.texts.items() if run.texts.get(one) != carriage_returns(text)]
    wrong += [one for one, file in order.footage.items() if run.files.get(one) != _seen(file, windows)]
    wrong += [
        one
        for one, file in order.pictures.items()
        if run.files.get(run.sources.get(one) or -1) != _seen(file, windows)
    ]
    if wrong:
        raise Refused(
            f"The script for {name} leaves other values than asked in {', '.join(map(str, wrong))}."
        )


def _seen(path: str, windows: bool) -> str:
    """A path as the model names it."""
    return str(PureWindowsPath(path)) if windows else path
