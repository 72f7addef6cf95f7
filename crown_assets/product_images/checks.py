"""Checks of product images that look at the world or at the ledger. The standing ones are in assets.py."""

from functools import cache
from typing import Any

import dagster as dg

from crown.errors import ConfigurationError
from crown.flow import held_removals
from crown.flow.verify import verify
from crown.product_images.publishing.removals import RULES
from crown.product_images.renditions import judgements
from crown.product_images.renditions.compliance import load_profiles
from crown.product_images.workspace import COMPLIANCE, PUBLISHED, Workspace
from crown.settings.model import load_settings
from crown_assets.factories import key, sentences_as_failures
from resources.workspaces import ProductImagesResource

#: Rows of a check's table.
_SHOWN = 100


@cache
def profile_names() -> tuple[str, ...]:
    """The compliance profiles that have a check of their own.

    Read when definitions load. When the settings or their profiles cannot be read, the profiles that come with Crown
    are used, so that the code location loads; every run then fails with the sentence that says what to correct.
    """
    try:
        return tuple(sorted(load_profiles(load_settings().product_images.compliance_profiles)))
    except ConfigurationError:
        return tuple(sorted(load_profiles()))


def meets_profile(workspace: Workspace, profile: str) -> dg.AssetCheckResult:
    """Whether every judged picture meets a profile, with the offending numbers; errors fail, warnings are shown."""
    used = [
        target.name
        for target in workspace.targets.values()
        if target.profile and target.profile.name == profile
    ]
    with workspace.engine.connect() as connection:
        count = judgements.judged(connection, profile)
        found = judgements.offences(connection, profile)
    errors = sum(offence.severity == "error" for offence in found)
    rows = "\n".join(
        f"| {o.photo} | {o.spec} | {o.severity} | {o.rule} | {o.measured} | {o.wanted} |"
        for o in found[:_SHOWN]
    )
    head = "| photo | spec | severity | rule | measured | wanted |\n| --- | --- | --- | --- | --- | --- |\n"
    return dg.AssetCheckResult(
        passed=errors == 0,
        check_name=f"meets_{profile}",
        asset_key=key(COMPLIANCE),
        severity=dg.AssetCheckSeverity.ERROR,
        # Dagster knows passed and failed only.
        description=_not_applicable(used, count),
        metadata={
            "targets": ", ".join(used),
            "judged": count,
            "errors": errors,
            "warnings": len(found) - errors,
            "findings": dg.MetadataValue.md(head + rows if found else "nothing to complain of"),
        },
    )


def _not_applicable(targets: list[str], judged: int) -> str | None:
    if not targets:
        return "Not applicable: no target has this profile."
    return None if judged else "Not applicable: no picture was judged under this profile yet."


def no_removal_is_held(workspace: Workspace) -> dg.AssetCheckResult:
    """Whether a plan to remove many products waits for a person, and which."""
    with workspace.engine.connect() as connection:
        held = held_removals.standing(connection, RULES)
    return dg.AssetCheckResult(
        passed=not held,
        check_name="no_removal_is_held",
        asset_key=key(PUBLISHED),
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join(removal.sentence for removal in held) or None,
        metadata={
            removal.target: dg.MetadataValue.json(
                {
                    "plan": removal.plan_hash,
                    "products": list(removal.subjects[:_SHOWN]),
                    "files": len(removal.keys),
                }
            )
            for removal in held
        },
    )


@dg.asset_check(
    asset=key(PUBLISHED),
    name="files_are_as_we_wrote_them",
    description="Published pictures are there, unchanged, and no foreign file is among them.",
)
def files_are_as_we_wrote_them(images: ProductImagesResource) -> dg.AssetCheckResult:
    """Missing files become pending and the next run mends them; changed and foreign ones are a person's."""
    with sentences_as_failures(), images.workspace() as workspace:
        found = verify(
            workspace, byte_budget=round(workspace.settings.product_images.rotating_check_gb * 1e9)
        )
    metadata: dict[str, Any] = {
        "checked": found.checked,
        "files_read": found.files_read,
        "bytes_read": found.bytes_read,
        "read_from": found.read_from or "",
        "read_to": found.read_to or "",
        "last_full_round": found.round_ended_at.isoformat() if found.round_ended_at else "not yet",
    }
    for name in ("missing", "changed", "foreign", "absent"):
        metadata[name] = dg.MetadataValue.json(getattr(found, name)[:_SHOWN])
    return dg.AssetCheckResult(passed=found.sound, severity=dg.AssetCheckSeverity.WARN, metadata=metadata)
