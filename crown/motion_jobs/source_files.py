"""Whether a file that a batch names can be read at all: a PSD, or an After Effects project."""

from __future__ import annotations

from pathlib import Path

from crown.errors import BadInput


def defect_of(path: Path) -> str | None:
    """What is wrong with the file, in a sentence, or None when its layers can be read."""
    from crown.motion_jobs.after_effects.ae_project import read_project
    from crown.motion_jobs.photoshop.psd_file import read_psd

    try:
        if path.suffix.lower() in (".psd", ".psb"):
            read_psd(path)
        else:
            read_project(path)
    except BadInput as error:
        return str(error)
    return None
