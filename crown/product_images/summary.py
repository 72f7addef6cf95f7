"""The summary of product images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from crown.errors import ConfigurationError
from crown.flow.summary import Department, Finding, Freshness
from crown.product_images.gates import GATES
from crown.product_images.stage_log import product_number
from crown.product_images.workspace import (
    COMPLIANCE,
    CUTOUTS,
    DEPARTMENT,
    INBOX_PHOTOS,
    MASTERS,
    PHOTOS,
    PUBLISHED,
    TEXTS,
    Workspace,
    targets_of,
)
from crown.settings.model import Settings

_FLOW = (INBOX_PHOTOS, PHOTOS, TEXTS, CUTOUTS, MASTERS, f"{DEPARTMENT}/renditions", COMPLIANCE, PUBLISHED)
#: A month without an upload, or without a publication, is worth a question.
_WINDOW = timedelta(days=31)


def _folders(settings: Settings) -> Mapping[str, Path]:
    return {"share": settings.media, "production": settings.production, "originals": settings.objects}


def _freshness(connection: Connection) -> Sequence[Freshness]:
    uploaded = connection.execute(text("select max(uploaded_at) from product_images.uploads")).scalar_one()
    published = connection.execute(
        text("select made_at from ledger.outputs where asset = :asset order by output_id desc limit 1"),
        {"asset": PUBLISHED},
    ).scalar()
    return [
        Freshness(INBOX_PHOTOS, "newest upload", uploaded, _WINDOW),
        Freshness(PUBLISHED, "newest publication", published, _WINDOW),
    ]


def _lost(engine: Engine, settings: Settings) -> Mapping[str, str]:
    return Workspace(engine, settings).absent_roots()


def _findings(settings: Settings) -> Iterator[Finding]:
    yield from _weights(settings)
    yield from _specs(settings)


def _weights(settings: Settings) -> Iterator[Finding]:
    model, folder = settings.product_images.cutout_model, settings.product_images.weights_dir
    if model == "studio":
        yield Finding("weights", "ok", "the cut-out model `studio` brings its own weights")
        return
    if folder is None:
        yield Finding(
            "weights",
            "fail",
            f"the cut-out model {model} needs weights, and no folder is named",
            "Set CROWN_PRODUCT_IMAGES_WEIGHTS_DIR to the folder with its .onnx file,"
            " or CROWN_PRODUCT_IMAGES_CUTOUT_MODEL to studio.",
        )
        return
    path = folder / f"{model}.onnx"
    if not path.is_file():
        yield Finding(
            "weights",
            "fail",
            f"the weights {path} are not there; nothing is downloaded during a run",
            f"Put {model}.onnx there yourself (mind its licence), or set CROWN_PRODUCT_IMAGES_CUTOUT_MODEL to studio.",
        )
    else:
        yield Finding("weights", "ok", f"the weights {path} are there ({path.stat().st_size / 1e6:.0f} MB)")


def _specs(settings: Settings) -> Iterator[Finding]:
    from crown.product_images.publishing.targets import needed_specs

    try:
        targets = targets_of(settings)
    except ConfigurationError as error:
        yield Finding("specs", "fail", str(error))
        return
    yield Finding("specs", "ok", f"{len(needed_specs(targets))} output specs are made for every picture")
    for target in list(targets.values())[1:]:
        under = f" under the profile {target.profile.name}" if target.profile else ""
        yield Finding(
            "specs", "ok", f"{len(target.specs)} of them go to {target.folder} ({target.name}){under}"
        )


def _cutout_models(engine: Engine, settings: Settings) -> Iterator[Finding]:
    """What a person put in the place of CROWN_PRODUCT_IMAGES_CUTOUT_MODEL; nothing where nobody did."""
    from crown.product_images.cutout import models as cutout_models

    with engine.connect() as connection:
        promoted, own = cutout_models.promoted(connection), cutout_models.choices(connection)
        if promoted is not None:
            yield Finding("weights", "ok", cutout_models.standing_sentences(connection, settings)[0])
    for model in sorted({choice.model for choice in (*own, *([promoted] if promoted else []))}):
        try:
            cutout_models.cutting(model, settings.product_images.weights_dir)
        except ConfigurationError as error:
            if promoted is not None and promoted.model == model:
                back = "Or let the setting hold again: `crown images promote default --apply`."
                yield Finding("weights", "fail", str(error), back)
            else:
                many = sum(choice.model == model for choice in own)
                back = "Or `crown images retry PHOTO --model default --apply`."
                yield Finding("weights", "warn", f"{many:,} photos wait for it: {error}", back)


PRODUCT_IMAGES = Department(
    DEPARTMENT,
    "Product images",
    "Put a picture into the inbox; what becomes of it appears here.",
    flow=_FLOW,
    gates=GATES,
    entity_of=product_number,
    troubles_command="crown images status --troubles",
    folders=_folders,
    freshness=_freshness,
    lost=_lost,
    findings=_findings,
    database_findings=_cutout_models,
)
