"""The models as a page: description, columns, column lineage, and the dependency graph.

Belongs here: rendering the results of project.py and lineage.py. Does not: the database.
"""

from __future__ import annotations

from html import escape

from crown.sql_models.checks import promises
from crown.sql_models.lineage import read_columns
from crown.sql_models.project import LAYERS, ColumnLineage, Model, Project

_BOX, _HIGH, _ROW, _COLUMN, _EDGE = 200, 26, 38, 290, 20

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 78rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; }
td, th { border-bottom: 1px solid #ddd; padding: .25rem .6rem .25rem 0; text-align: left; vertical-align: top; }
code, pre { font: 13px/1.4 ui-monospace, monospace; } pre { background: #f6f7f8; padding: .8rem; overflow-x: auto; }
figure { margin: 1rem 0; overflow-x: auto; } .quiet { color: #667; } h2 { margin-top: 2.5rem; }
"""


def markdown(project: Project) -> str:
    """The page in Markdown, the picture as a Mermaid flow chart.

    Raises:
        ConfigurationError: a column is wrong, see `read_columns`.
    """
    lineage = read_columns(project)
    parts = ["# SQL models", "", "```mermaid", _mermaid(project), "```"]
    for layer in LAYERS:
        models = [model for model in project.models.values() if model.folder == layer]
        if models:
            parts += ["", f"## {layer}"]
        for model in models:
            parts += ["", _markdown_model(project, model, lineage[model.relation])]
    return "\n".join(parts) + "\n"


def html(project: Project) -> str:
    """The page as one HTML file that needs nothing else, the picture as SVG.

    Raises:
        ConfigurationError: a column is wrong, see `read_columns`.
    """
    lineage = read_columns(project)
    body = "".join(_html_model(project, model, lineage[model.relation]) for model in project.models.values())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>SQL models</title>'
        f"<style>{_STYLE}</style></head><body><h1>SQL models</h1>"
        f"<figure>{picture(project)}</figure>{body}</body></html>\n"
    )


def picture(project: Project) -> str:
    """The dependency graph as SVG: sources on the left, then the layers; each model links to its heading."""
    columns = [list(project.sources)]
    columns += [[name for name, m in project.models.items() if m.folder == layer] for layer in LAYERS]
    at: dict[str, tuple[int, int]] = {}
    for x, names in enumerate(columns):
        # Beside what it reads, so that few lines cross.
        heights = {name: [at[up][1] for up in _upstream(project, name) if up in at] for name in names}
        names.sort(key=lambda name: sum(heights[name]) / len(heights[name]) if heights[name] else 0)
        at |= {name: (_EDGE + x * _COLUMN, _EDGE + 20 + y * _ROW) for y, name in enumerate(names)}
    width = _EDGE * 2 + _COLUMN * (len(columns) - 1) + _BOX + 45
    height = _EDGE * 2 + 20 + _ROW * max((len(names) for names in columns), default=0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" font-size="12" role="img" '
        'aria-label="Which model reads which"><rect width="100%" height="100%" fill="#fff"/>'
    ]
    for x, title in enumerate(("sources", *LAYERS)):
        parts.append(f'<text x="{_EDGE + x * _COLUMN}" y="{_EDGE + 6}" fill="#667">{title}</text>')
    for name, model in project.models.items():
        for upstream in model.upstream:
            parts.append(_curve(at[upstream], at[name]))
    for name, (x, y) in at.items():
        box = (
            f'<rect x="{x}" y="{y}" width="{_BOX}" height="{_HIGH}" rx="4" '
            f'fill="{"#e8f0f4" if name in project.models else "#f2efe6"}" stroke="#2f6f8f" stroke-width=".7"/>'
            f'<text x="{x + 8}" y="{y + 17}" fill="#222">{escape(name if name in project.sources else name.split(".")[1])}'
            "</text>"
        )
        parts.append(f'<a href="#{escape(name)}">{box}</a>' if name in project.models else box)
    return "".join(parts) + "</svg>"


def _upstream(project: Project, name: str) -> tuple[str, ...]:
    return project.models[name].upstream if name in project.models else ()


def _curve(start: tuple[int, int], end: tuple[int, int]) -> str:
    y1, y2 = start[1] + _HIGH // 2, end[1] + _HIGH // 2
    if start[0] == end[0]:
        # Both are in one column: round the right-hand side.
        x, out = start[0] + _BOX, start[0] + _BOX + 45
        path = f"M{x},{y1} C{out},{y1} {out},{y2} {x},{y2}"
    else:
        x1, x2 = start[0] + _BOX, end[0]
        middle = (x1 + x2) // 2
        path = f"M{x1},{y1} C{middle},{y1} {middle},{y2} {x2},{y2}"
    return f'<path d="{path}" fill="none" stroke="#9bb3c0"/>'


def _mermaid(project: Project) -> str:
    lines = ["flowchart LR"]
    lines += [f'  {_id(name)}[("{name}")]' for name in project.sources]
    for layer in LAYERS:
        lines.append(f"  subgraph {layer}")
        lines += [f'    {_id(n)}["{m.name}"]' for n, m in project.models.items() if m.folder == layer]
        lines.append("  end")
    lines += [f"  {_id(up)} --> {_id(name)}" for name, m in project.models.items() for up in m.upstream]
    return "\n".join(lines)


def _id(relation: str) -> str:
    return relation.replace(".", "__")


def _markdown_model(project: Project, model: Model, lineage: ColumnLineage) -> str:
    lines = [
        f"### {model.relation}",
        "",
        model.description.description,
        "",
        f"A {model.description.materialised}, owned by {model.description.owner}. "
        f"Reads {_names(model.upstream)}. Read by {_names(project.downstream(model.relation))}.",
        "",
        "| column | what it is | from |",
        "| --- | --- | --- |",
    ]
    for name, text, origins in _columns(model, lineage):
        lines.append(
            f"| `{name}` | {text} | {', '.join(f'`{origin}`' for origin in origins)} |".replace("\n", " ")
        )
    kept = promises(model)
    if kept:
        lines += ["", "Tests:", ""]
        lines += [f"- {p.sentence}{'' if p.severity == 'error' else ' (warns)'}" for p in kept]
    return "\n".join(lines)


def _html_model(project: Project, model: Model, lineage: ColumnLineage) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(text)}</td>"
        f'<td class="quiet">{escape(", ".join(origins))}</td></tr>'
        for name, text, origins in _columns(model, lineage)
    )
    kept = "".join(
        f"<li>{escape(p.sentence)}{'' if p.severity == 'error' else ' (warns)'}</li>" for p in promises(model)
    )
    return (
        f'<h2 id="{escape(model.relation)}">{escape(model.relation)}</h2>'
        f"<p>{escape(model.description.description)}</p>"
        f'<p class="quiet">A {model.description.materialised}, owned by {escape(model.description.owner)}. '
        f"Reads {escape(_names(model.upstream))}. Read by {escape(_names(project.downstream(model.relation)))}.</p>"
        f"<table><tr><th>column</th><th>what it is</th><th>from</th></tr>{rows}</table>"
        + (f"<p>Tests</p><ul>{kept}</ul>" if kept else "")
        + f"<details><summary>SQL</summary><pre>{escape(model.sql)}</pre></details>"
    )


def _columns(model: Model, lineage: ColumnLineage) -> list[tuple[str, str, list[str]]]:
    """Name, description and origins of every column."""
    described = model.description.columns
    return [
        (name, described[name].description if name in described else "", [f"{r}.{c}" for r, c in origins])
        for name, origins in lineage.items()
    ]


def _names(relations: tuple[str, ...]) -> str:
    return ", ".join(relations) or "nothing"
