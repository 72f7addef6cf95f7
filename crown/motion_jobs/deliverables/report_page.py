"""The report of a job as one HTML file that needs nothing beside it: pictures are part of it, nothing is loaded."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template


def report_page(report: Mapping[str, Any], sheet: bytes | None = None) -> str:
    """The page.

    Args:
        report: The report, as in its JSON file.
        sheet: The mapping sheet as PNG.
    """
    picture = f"data:image/png;base64,{base64.b64encode(sheet).decode()}" if sheet else ""
    return _template().render(report=report, sheet=picture)


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("pages")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")
