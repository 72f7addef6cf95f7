"""Settings of product images: `CROWN_PRODUCT_IMAGES_*`."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from crown.settings.kinds import AbsolutePath, Group


class ProductImages(Group):
    """One attribute for each setting."""

    product_number_pattern: str = Field(
        default=r"[A-Z]{0,2}[0-9]{4,}[A-Z]{0,3}(\.[0-9]+)?",
        description="Regular expression of product numbers in capitals; other names go to name_conflicts.",
    )
    cutout_model: str = Field(default="studio", description="`studio`, or a rembg model with its weights.")
    weights_dir: AbsolutePath | None = Field(
        default=None, description="Folder with rembg's .onnx weights; nothing is ever downloaded."
    )
    output_specs: AbsolutePath | None = Field(default=None, description="Your own output_specs.yaml.")
    brand_dir: AbsolutePath | None = Field(
        default=None, description="Folder of the icons and watermarks that specs name."
    )
    specs: tuple[str, ...] = Field(default=(), description="Names of the specs to make, comma separated.")
    company_name: str = Field(default="", description="Written into pictures as artist, make and keyword.")
    copyright_notice: str = Field(default="", description="Written into pictures as their copyright.")
    production_targets: AbsolutePath | None = Field(
        default=None, description="Your targets.yaml: folders published to besides PRODUCTION_ROOT."
    )
    compliance_profiles: AbsolutePath | None = Field(
        default=None, description="Your own compliance_profiles.yaml: what partners demand of a picture."
    )
    rotating_check_gb: float = Field(
        default=20,
        gt=0,
        description="Gigabytes that the daily rotating check reads; the next goes on where it ended.",
    )
    rehearsal_retention_days: int = Field(
        default=90, ge=1, description="Age at which a rehearsal's bytes and its sheet are removed."
    )
    max_megapixels: float = Field(default=180, gt=0, description="Larger pictures are refused unopened.")
    stalled_minutes: float = Field(
        default=5, ge=0, description="An undecodable upload waits this long (a copy may be stalled)."
    )
    inbox_interval_seconds: int = Field(
        default=30, ge=5, description="How often folders are looked at; seen when the services start."
    )

    @field_validator("product_number_pattern")
    @classmethod
    def _expression(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"it is not a regular expression ({error})") from None
        return value

    @field_validator("specs", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )
