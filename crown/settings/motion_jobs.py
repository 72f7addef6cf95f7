"""Settings of motion jobs: `CROWN_MOTION_JOBS_*`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from crown.settings.kinds import AbsolutePath, Group


class MotionJobs(Group):
    """One attribute for each setting."""

    root: AbsolutePath | None = Field(
        default=None, description="Folder with batches/, refused/ and packages/ of motion jobs."
    )
    allowed_roots: tuple[Path, ...] = Field(
        default=(), description="Folders below which PSDs, projects and footage may lie, comma separated."
    )
    auto_start: bool = Field(
        default=True, description="Start new jobs by themselves; without, `crown motion start` does it."
    )
    max_jobs: int = Field(
        default=100, ge=1, description="So many jobs of a batch are started at once; the others follow."
    )
    max_csv_mb: float = Field(default=50, gt=0, description="Larger batch files are refused unread.")
    max_rows: int = Field(default=100_000, ge=1, description="Batches with more rows are refused.")
    render_root: str = Field(
        default="",
        description="Where render machines see the folder packages/, such as D:/motion; empty: as this machine sees it.",
    )
    fonts: AbsolutePath | None = Field(
        default=None,
        description="Folder with the font files of the render machines; empty: fonts are unknown.",
    )
    warnings: AbsolutePath | None = Field(
        default=None, description="Your own warnings.yaml: severities and thresholds."
    )
    plainly_url: str = Field(
        default="https://api.plainlyvideos.com",
        description="Address of Plainly's API, for a proxy in between.",
    )
    plainly_api_key_file: AbsolutePath | None = Field(
        default=None,
        description="File that holds the key of Plainly's API and nothing else; empty sends nothing.",
    )
    stuck_hours: float = Field(
        default=24, gt=0, description="A job that is in work for longer than this counts as stuck."
    )
    interval_seconds: int = Field(
        default=30, ge=5, description="How often folders are looked at; seen when the services start."
    )

    @field_validator("allowed_roots", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("allowed_roots")
    @classmethod
    def _full_paths(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        for root in value:
            if not root.is_absolute():
                raise ValueError(f"{root} is not a full path; write each folder from `/` on")
        return value
