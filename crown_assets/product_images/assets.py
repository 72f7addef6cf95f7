"""Product images as assets: inbox_photos -> photos -> cutouts -> masters -> renditions -> production.

Texts of products and judgements under partners' profiles join them before production.

An asset here opens the workspace, runs its stage and reports; pictures are made by crown/product_images.
Each row of the ledger is an item, so no asset is partitioned by file.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import dagster as dg
from pydantic import Field

from crown.flow.make import Only, StageReport
from crown.flow.pool_report import PoolReport, Progress
from crown.journal.records import log_context
from crown.ledger import counts
from crown.ledger.claims import Finished
from crown.pictures.contact_sheet import contact_sheet
from crown.product_images import stages
from crown.product_images.share import folders, intake, moves, rejected, review_folder, unrendered
from crown.product_images.summary import PRODUCT_IMAGES
from crown.product_images.versions import CODE_VERSIONS
from crown.product_images.workspace import (
    COMPLIANCE,
    CUTOUTS,
    DEPARTMENT,
    FAMILIES,
    INBOX_PHOTOS,
    MASTERS,
    PHOTOS,
    PUBLISHED,
    RENDITIONS,
    TEXTS,
    Workspace,
)
from crown.store import watch
from crown_assets.factories import (
    ItemsConfig,
    asset_spec,
    carried_forward,
    data_is_fresh,
    fail_above,
    freshness_check,
    item_asset,
    key,
    metadata_of,
    nothing_left_failed,
    preview,
    record_run,
    sentences_as_failures,
    standing_check,
    stats_of,
)
from crown_assets.product_images.checks import meets_profile, no_removal_is_held, profile_names
from resources import queues
from resources.workspaces import ProductImagesResource

OWNERS = ["team:product-images"]
SHARE = f"{DEPARTMENT}/share"
TARGETS = f"{DEPARTMENT}/published_folders"
#: Cutting out takes so much longer than what follows it; its results are shown as they come in any case.
_CUTOUT_TURNS = 10


def _asset(asset: str, deps: Sequence[str], kinds: set[str], **more: Any) -> Any:
    return item_asset(
        asset,
        deps,
        kinds,
        owners=OWNERS,
        code_version=CODE_VERSIONS[asset],
        **more,
    )


class CutoutsConfig(ItemsConfig):
    """Run configuration of the cut-outs."""

    model: str = Field(
        default="",
        description="Only cut-outs by this model (studio, isnet-general-use, ...). It chooses none: that is a person's"
        " decision, `crown images retry PATTERN --model NAME`.",
    )

    def only(self) -> Only | None:
        """The part of what is due; None for all of it."""
        if not self.model:
            return super().only()
        return Only(self.pattern, self.limit, {"model": self.model})


#: Where people put pictures, and where the world reads them.
share = asset_spec(
    SHARE,
    "The folders of the share in which people put photos, approve cut-outs and put retouches.",
    {"file"},
    owners=OWNERS,
)
published_folders = asset_spec(
    TARGETS,
    "The folders of the production targets, as the website, the printers and partners read them.",
    {"file"},
    owners=OWNERS,
    deps=[PUBLISHED],
)


@_asset(
    INBOX_PHOTOS,
    [SHARE],
    {"python", "file"},
    checks=[freshness_check(INBOX_PHOTOS, "newest upload")],
)
def inbox_photos(
    context: dg.AssetExecutionContext, config: ItemsConfig, images: ProductImagesResource
) -> dg.MaterializeResult:
    """What people gave us: uploads of the inbox and retouches, stored by hash and verified."""
    with _logged(context), sentences_as_failures(), images.workspace() as workspace:
        context.log.info("Looking at the folders of %s", workspace.settings.media)
        watch.settled(partial(folders.seen_by_people, workspace))
        seen, reviewed = intake.take_in(workspace), moves.collect(workspace)
        report = _make(context, workspace, config, INBOX_PHOTOS)
        return _result(
            context,
            workspace,
            report,
            INBOX_PHOTOS,
            stored=len(seen.stored),
            known_already=len(seen.known),
            still_copying=len(seen.unfinished) + len(reviewed.unfinished),
            undecodable_waiting=len(seen.stalled),
            approved=len(reviewed.approved),
            rejected=len(reviewed.rejected),
            retouched=len(reviewed.retouched),
            refused=dg.MetadataValue.json({**seen.refused, **reviewed.refused}),
            checks=[_fresh(workspace, INBOX_PHOTOS)],
        )


@_asset(PHOTOS, [INBOX_PHOTOS], {"python", "postgres"})
def photos(
    context: dg.AssetExecutionContext, config: ItemsConfig, images: ProductImagesResource
) -> dg.MaterializeResult:
    """The newest version of each photo (product number and view); older versions stay stored."""
    with _logged(context), sentences_as_failures(), images.workspace() as workspace:
        return _result(context, workspace, _make(context, workspace, config, PHOTOS), PHOTOS)


# In no pool: a run that follows a person's decision would wait for an hour of cutting out. One run of its queue at a
# time bounds it.
@_asset(CUTOUTS, [PHOTOS], {"python", "image"})
def cutouts(
    context: dg.AssetExecutionContext, config: CutoutsConfig, images: ProductImagesResource
) -> dg.MaterializeResult:
    """Photos without their backdrop, or a person's retouch; laid out for review as they are made."""
    queue = _queue(context)
    only = _part(context, config)
    with _logged(context), sentences_as_failures(), images.workspace() as workspace:
        report = stages.make(
            workspace,
            [CUTOUTS],
            run_id=context.run_id,
            on_progress=_showing(context, workspace),
            seconds=_seconds(context, workspace, _CUTOUT_TURNS),
            copies_only=queue == queues.PRODUCT_IMAGES and only is None,
            only=only,
        )
        review_folder.show(workspace)
        review_folder.show_failures(workspace)
        rejected.show(workspace)
        if queue == queues.CUTOUTS:
            stages.plan(workspace, [MASTERS])  # those that wait for approval now
        return _result(context, workspace, report, CUTOUTS)


@_asset(MASTERS, [CUTOUTS], {"python", "image"})
def masters(
    context: dg.AssetExecutionContext, config: ItemsConfig, images: ProductImagesResource
) -> dg.MaterializeResult:
    """Approved cut-outs: exactly the bytes that a person approved."""
    with _logged(context), sentences_as_failures(), images.workspace() as workspace:
        report = _make(context, workspace, config, MASTERS)
        review_folder.show(workspace, new=False)
        return _result(context, workspace, report, MASTERS)


@dg.multi_asset(
    name=f"{DEPARTMENT}__renditions",
    specs=[
        asset_spec(
            asset,
            f"The {family} outputs of output_specs.yaml, rendered from the masters.",
            {"python", "image"},
            owners=OWNERS,
            deps=[MASTERS],
            skippable=True,
            code_version=CODE_VERSIONS[asset],
        )
        for family, asset in RENDITIONS.items()
    ],
    check_specs=[standing_check(asset) for asset in RENDITIONS.values()],
    can_subset=True,
    pool="cpu_heavy",
)
def renditions(
    context: dg.AssetExecutionContext, config: ItemsConfig, images: ProductImagesResource
) -> Iterator[dg.MaterializeResult]:
    """Each master is decoded once for all families that are selected."""
    chosen = [
        RENDITIONS[family] for family in FAMILIES if key(RENDITIONS[family]) in context.selected_asset_keys
    ]
    with _logged(context), sentences_as_failures(), images.workspace() as workspace:
        report = _make(context, workspace, config, *chosen)
        unrendered.show(workspace)
        for asset in chosen:
            yield _result(context, workspace, report, asset)


@_asset(TEXTS, [PHOTOS], {"python", "postgres"})
def texts(
    context: dg.AssetExecutionContext, config: ItemsConfig, images: ProductImagesResource
) -> dg.MaterializeResult:
    """What is written into the pictures of each product: a person's words, and the company's for the rest."""
    with _logged(context), sentences_as_failures(), images.workspace() as workspace:
        return _result(context, workspace, _make(context, workspace, config, TEXTS), TEXTS)


@_asset(
    COMPLIANCE,
    list(RENDITIONS.values()),
    {"python", "image"},
    checks=[
        dg.AssetCheckSpec(
            f"meets_{profile}",
            asset=key(COMPLIANCE),
            description=f"Every picture of the targets with the profile {profile} meets its demands.",
        )
        for profile in profile_names()
    ],
    pool="cpu_heavy",
)
def compliance(
    context: dg.AssetExecutionContext, config: ItemsConfig, images: ProductImagesResource
) -> dg.MaterializeResult:
    """Renditions measured and judged under the profiles of the targets; an error keeps a picture out of those."""
    with _logged(context), sentences_as_failures(), images.workspace() as workspace:
        report = _make(context, workspace, config, COMPLIANCE)
        checks = [meets_profile(workspace, profile) for profile in profile_names()]
        return _result(context, workspace, report, COMPLIANCE, checks)


@_asset(
    PUBLISHED,
    [*RENDITIONS.values(), TEXTS, COMPLIANCE],
    {"python", "file"},
    checks=[
        dg.AssetCheckSpec(
            "no_removal_is_held",
            asset=key(PUBLISHED),
            description="No plan to remove many products waits for a person.",
        ),
        freshness_check(PUBLISHED, "newest publication"),
    ],
)
def production(
    context: dg.AssetExecutionContext, config: ItemsConfig, images: ProductImagesResource
) -> dg.MaterializeResult:
    """The published folders: only what changed is written, only files of ours are replaced or removed."""
    with _logged(context), sentences_as_failures(), images.workspace() as workspace:
        report = _make(context, workspace, config, PUBLISHED)
        held = "\n\n".join(removal.sentence for removal in report.held)
        return _result(
            context,
            workspace,
            report,
            PUBLISHED,
            [no_removal_is_held(workspace), _fresh(workspace, PUBLISHED)],
            held=dg.MetadataValue.md(held) if held else None,
        )


def _logged(context: dg.AssetExecutionContext) -> AbstractContextManager[None]:
    """Whatever is logged inside says which run it belongs to."""
    return log_context(run_id=context.run_id, department=DEPARTMENT)


def _make(
    context: dg.AssetExecutionContext, workspace: Workspace, config: ItemsConfig, *assets: str
) -> StageReport:
    """Make what is due of assets that share a worker pool, or the part of it that fits this run."""
    return stages.make(
        workspace,
        assets,
        run_id=context.run_id,
        on_progress=_progress(context),
        seconds=_seconds(context, workspace),
        only=_part(context, config),
    )


def _part(context: dg.AssetExecutionContext, config: ItemsConfig) -> Only | None:
    """The part of what is due that a person chose in the launchpad."""
    only = config.only()
    if only is not None:
        context.log.info("Of what is due, this run makes: %s", only)
    return only


def _fresh(workspace: Workspace, asset: str) -> dg.AssetCheckResult:
    with workspace.engine.connect() as connection:
        dates = {one.asset: one for one in PRODUCT_IMAGES.freshness(connection)}
    return data_is_fresh(dates[asset])


def _queue(context: dg.AssetExecutionContext) -> str | None:
    """The queue that this run takes a part of; None for a run that makes everything."""
    tags = context.run.tags
    return None if queues.WHOLE in tags else tags.get(queues.TAG)


def _seconds(context: dg.AssetExecutionContext, workspace: Workspace, turns: int = 1) -> float | None:
    return None if _queue(context) is None else turns * workspace.settings.run_seconds


def _progress(context: dg.AssetExecutionContext) -> Progress:
    def say(report: PoolReport, _: Finished) -> None:
        context.log.info("%d made, %d failed", report.made, report.failed)

    return say


def _showing(context: dg.AssetExecutionContext, workspace: Workspace) -> Progress:
    """Lays cut-outs into the review as soon as they are entered."""
    say = _progress(context)

    def show(report: PoolReport, finished: Finished) -> None:
        say(report, finished)
        if finished.made:
            review_folder.show(workspace, photos={made.job.key for made in finished.made})
        if finished.failed:
            review_folder.show_failures(workspace)

    return show


def _result(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    report: StageReport,
    asset: str,
    checks: Sequence[dg.AssetCheckResult] = (),
    **more: Any,
) -> dg.MaterializeResult:
    with workspace.engine.connect() as connection:
        states = counts.of_asset(connection, asset)
    stats = stats_of(report.pool, asset, states)
    previews = workspace.settings.home / "previews"
    sheet = contact_sheet(
        [workspace.roots.path(root, path) for root, path in report.pool.tallies[asset].newest],
        previews / asset / f"{context.run_id}.webp",
    )
    record_run(workspace.engine, asset, stats, context.run_id)
    fail_above(stats, workspace.settings.failure_rate_limit)
    return dg.MaterializeResult(
        asset_key=key(asset),
        metadata=metadata_of(
            stats,
            states,
            planned=report.plans[asset].changed,
            removed=report.removal.count,
            kept_for_people=dg.MetadataValue.json(report.removal.kept) if report.removal.kept else None,
            **(
                {"contact_sheet": preview(sheet, previews)}
                if sheet
                else carried_forward(context, key(asset), ["contact_sheet"])
            ),
            **more,
        ),
        check_results=[nothing_left_failed(workspace.engine, asset, states), *checks],
    )
