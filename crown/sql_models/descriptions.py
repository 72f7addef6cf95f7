"""The .yml beside a model, and sources.yml: validated, with the line of every mistake.

Belongs here: the form of descriptions. Does not: whether what they name exists (project.py, lineage.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

_STRICT = ConfigDict(extra="forbid", frozen=True)

Severity = Literal["error", "warn"]
Value = str | int | float | bool


class Range(BaseModel):
    """Least and greatest, both allowed; one may be left out."""

    model_config = _STRICT

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _some_bound(self) -> Range:
        if self.min is None and self.max is None:
            raise ValueError("a range has `min`, `max` or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("`min` is greater than `max`; exchange them")
        return self

    def __str__(self) -> str:
        if self.max is None:
            return f"at least {self.min:g}"
        return f"at most {self.max:g}" if self.min is None else f"{self.min:g} to {self.max:g}"


class Relationship(BaseModel):
    """Every value that is not null exists in `column` of the relation `to`."""

    model_config = _STRICT

    to: str
    column: str


class _Test(BaseModel):
    """What every test has: how grave a failure is, and which rows it looks at."""

    model_config = _STRICT

    severity: Severity = "error"
    where: str | None = Field(default=None, description="SQL condition; only these rows are looked at.")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, data: Any) -> Any:
        """`- not_null` for `- not_null: true`, and the same with a severity beside it."""
        if isinstance(data, str):
            return {data: True}
        if isinstance(data, Mapping):
            return {key: True if value is None else value for key, value in data.items()}
        return data

    @model_validator(mode="after")
    def _one_kind(self) -> _Test:
        if len(self._kinds()) != 1:
            known = ", ".join(sorted(set(type(self).model_fields) - set(_Test.model_fields)))
            raise ValueError(f"a test is exactly one of {known}")
        return self

    def _kinds(self) -> list[str]:
        own = set(type(self).model_fields) - set(_Test.model_fields)
        return [name for name in type(self).model_fields if name in own and getattr(self, name) is not None]

    @property
    def kind(self) -> str:
        """The name of the test: `not_null`, `unique`, ..."""
        return self._kinds()[0]


class ColumnTest(_Test):
    """A promise about one column. A null keeps every promise but not_null."""

    not_null: Literal[True] | None = None
    unique: Literal[True] | None = None
    positive: Literal[True] | None = None
    accepted_values: tuple[Value, ...] | None = Field(default=None, min_length=1)
    relationships: Relationship | None = None
    between: Range | None = None
    expression: str | None = Field(default=None, description="SQL condition that no row may make false.")


class ModelTest(_Test):
    """A promise about the whole model."""

    expression: str | None = Field(default=None, description="SQL condition that no row may make false.")
    unique: tuple[str, ...] | None = Field(default=None, min_length=1)
    row_count: Range | None = None


class Column(BaseModel):
    """One column of a model; `name: What it is.` is short for one without tests."""

    model_config = _STRICT

    description: str = Field(min_length=1)
    tests: tuple[ColumnTest, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: Any) -> Any:
        return {"description": data} if isinstance(data, str) else data


class ModelDescription(BaseModel):
    """The .yml beside a model."""

    model_config = _STRICT

    description: str = Field(min_length=1)
    owner: str = Field(description="`team:name` or an e-mail address, as Dagster writes owners.")
    materialised: Literal["view", "table"] = "view"
    columns: dict[str, Column] = {}
    tests: tuple[ModelTest, ...] = ()

    @field_validator("owner")
    @classmethod
    def _owner(cls, owner: str) -> str:
        if not (owner.startswith("team:") and len(owner) > len("team:")) and "@" not in owner:
            raise ValueError("an owner is `team:name` or an e-mail address")
        return owner

    @field_validator("description")
    @classmethod
    def _one_paragraph(cls, description: str) -> str:
        return " ".join(description.split())


class Source(BaseModel):
    """A relation that is not a model: who makes it, and its columns as far as models read them."""

    model_config = _STRICT

    asset: tuple[str, ...] = Field(min_length=1)
    description: str = Field(min_length=1)
    columns: tuple[str, ...] = Field(min_length=1)


class SourceFile(BaseModel):
    """sources.yml."""

    model_config = _STRICT

    sources: dict[str, Source]

    @field_validator("sources")
    @classmethod
    def _with_schema(cls, sources: dict[str, Source]) -> dict[str, Source]:
        for relation in sources:
            if relation.count(".") != 1 or not all(relation.split(".")):
                raise ValueError(f"{relation!r} is not schema.table")
        return sources
