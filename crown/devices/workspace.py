"""What the department's assets and sensors work with: the database and the settings. It has no folder of people's files."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from crown.settings.model import Settings


@dataclass(frozen=True)
class Workspace:
    """An open database and the settings."""

    engine: Engine
    settings: Settings
