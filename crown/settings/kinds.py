"""Kinds of values that settings share. What a setting means does not belong here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


class Group(BaseModel):
    """Settings that belong together; unknown ones are refused, and none changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def expanded(path: Path) -> Path:
    """A path with a leading `~` or `~user` written out.

    Raises:
        ValueError: there is no such user.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("there is no such user on this machine; write the folder from `/` on") from None


def _absolute(path: Path) -> Path:
    # A service and a terminal run in different folders: both must mean the same place.
    return expanded(path).absolute()


#: A path, made absolute when it is read.
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
