"""A render job for Open Job Description (AWS Deadline Cloud and other farms), validated with its own library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crown.errors import Refused

_VERSION = "jobtemplate-2023-09"


@dataclass(frozen=True, slots=True)
class FarmOrder:
    """What a farm renders. Paths are those that the render machine sees.

    Attributes:
        output_file: A film, or pictures with `[#####]` for their number.
        chunk: So many frames in one task; only pictures can be rendered in pieces.
    """

    job_id: str
    project_file: str
    comp: str
    frames: int
    output_file: str
    chunk: int | None = None
    task_timeout_seconds: int = 4 * 3600


def openjd_template(order: FarmOrder) -> dict[str, Any]:
    """The job template.

    Raises:
        Refused: The order cannot be rendered that way, or the library finds the template invalid.
    """
    if order.frames < 1:
        raise Refused(f"The composition {order.comp!r} has no frame to render.")
    if order.chunk is not None and "[#" not in order.output_file:
        raise Refused(
            f"{order.output_file} is one film, which cannot be rendered in pieces. Render pictures."
        )
    starts = list(range(0, order.frames, order.chunk or order.frames))
    ends = [min(start + (order.chunk or order.frames), order.frames) - 1 for start in starts]
    template = {
        "specificationVersion": _VERSION,
        "name": f"After Effects {order.job_id}",
        "parameterDefinitions": [
            _path("ProjectFile", order.project_file, "IN"),
            {"name": "Composition", "type": "STRING", "default": order.comp},
            _path("OutputFile", order.output_file, "OUT"),
            {"name": "Aerender", "type": "STRING", "default": "aerender"},
        ],
        "steps": [
            {
                "name": "Render",
                "parameterSpace": {
                    "taskParameterDefinitions": [
                        {"name": "Start", "type": "INT", "range": starts},
                        {"name": "End", "type": "INT", "range": ends},
                    ],
                    "combination": "(Start, End)",
                },
                "script": {
                    "actions": {
                        "onRun": {
                            "command": "{{Param.Aerender}}",
                            "args": [
                                "-project", "{{Param.ProjectFile}}", "-comp", "{{Param.Composition}}",
                                "-output", "{{Param.OutputFile}}", "-s", "{{Task.Param.Start}}",
                                "-e", "{{Task.Param.End}}", "-v", "ERRORS_AND_PROGRESS", "-sound", "ON",
                            ],
                            "timeout": order.task_timeout_seconds,
                        }
                    }
                },
            }
        ],
    }  # fmt: skip
    _refuse_invalid(template, order.job_id)
    return template


def _path(name: str, default: str, flow: str) -> dict[str, Any]:
    return {"name": name, "type": "PATH", "objectType": "FILE", "dataFlow": flow, "default": default}


def _refuse_invalid(template: dict[str, Any], job_id: str) -> None:
    from openjd.model import DecodeValidationError, decode_job_template

    try:
        decode_job_template(template=template)
    except DecodeValidationError as error:
        said = " ".join(str(error).split())[:300]
        raise Refused(f"The farm template of {job_id} is invalid: {said}") from None
