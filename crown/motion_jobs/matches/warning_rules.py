"""The rules of warnings, as `warnings.yaml` has them: what is warned of, and how serious it is."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, RootModel, model_validator

from crown.settings.yaml_files import load_model

Severity = Literal["critical", "warning", "info"]


class Threshold(BaseModel):
    """A severity, and the value above which it holds; without one it always does."""

    model_config = ConfigDict(extra="forbid")

    severity: Severity
    above: float | None = None


class Rule(BaseModel):
    """One kind of warning. The thresholds go from the highest to the lowest."""

    model_config = ConfigDict(extra="forbid")

    severities: list[Threshold]
    message: str

    @model_validator(mode="after")
    def _descending(self) -> Rule:
        values = [one.above for one in self.severities if one.above is not None]
        if values != sorted(values, reverse=True):
            raise ValueError("its thresholds must go from the highest to the lowest")
        return self

    def severity(self, value: float | None) -> Severity | None:
        """The severity that holds for a value."""
        for one in self.severities:
            if one.above is None or (value is not None and value > one.above + 1e-9):
                return one.severity
        return None


class WarningRules(RootModel[dict[str, Rule]]):
    """The rules by the type of warning."""


def warning_rules(path: Path | None = None) -> dict[str, Rule]:
    """The rules of a file, or ours; a file may leave rules out, and what it leaves out is never warned of."""
    return load_model(path or Path(__file__).with_name("warnings.yaml"), WarningRules).root
