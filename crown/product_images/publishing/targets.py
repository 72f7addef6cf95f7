"""Production targets: the folders that pictures are published to, each with its specs and its compliance profile.

Belongs here: the file of targets, its model and what follows from it alone. Does not: what is published when
(`publishing.py`), or what a profile demands (`compliance.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

from crown.errors import ConfigurationError
from crown.product_images.renditions.compliance import Profile, load_profiles
from crown.product_images.renditions.specs import (
    Name,
    Spec,
    load_specs,
    select_specs,
)
from crown.settings.kinds import expanded
from crown.settings.model import Settings
from crown.settings.yaml_files import line_in, load_model

#: The target that is always there: the folder of the setting `production_root`.
DEFAULT = "production"
_RESERVED = ("media", "objects")


def _absolute(folder: Path) -> Path:
    folder = expanded(folder)
    if not folder.is_absolute():
        raise ValueError("a target's folder begins with `/` or `~`, so that every service means the same")
    return folder


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Annotated[Path, AfterValidator(_absolute)] | None = None
    profile: Name | None = None
    specs: list[str] = []


class _TargetFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    targets: dict[Name, _Entry]


@dataclass(frozen=True)
class Target:
    """A folder that pictures are published to.

    Attributes:
        name: also the name of its root in the ledger.
        folder: absolute.
        profile: what its pictures have to meet; None asks nothing.
        specs: what is published there, by name.
    """

    name: str
    folder: Path
    profile: Profile | None
    specs: Mapping[str, Spec]

    def key(self, path: str) -> str:
        """The item's key of a file in this target: the default target's are the paths themselves."""
        return path if self.name == DEFAULT else f"{self.name}:{path}"


def load_targets(settings: Settings, taken: Mapping[str, Path]) -> dict[str, Target]:
    """The targets of the settings by name, `production` first.

    Args:
        settings: the settings.
        taken: folders that no target may be in or around, by what they are.

    Raises:
        ConfigurationError: a mistake in the file (with its line), an unknown profile or spec, folders that lie
            in each other.
    """
    catalogue = load_specs(settings.product_images.output_specs, settings.product_images.brand_dir)
    chosen = select_specs(catalogue, settings.product_images.specs)
    path = settings.product_images.production_targets
    entries = {DEFAULT: _Entry()} | (load_model(path, _TargetFile).targets if path else {})
    profiles = (
        load_profiles(settings.product_images.compliance_profiles)
        if any(e.profile for e in entries.values())
        else {}
    )
    targets: dict[str, Target] = {}
    for name, entry in entries.items():

        def wrong(key: str, sentence: str, name: str = name) -> ConfigurationError:
            assert path is not None
            return ConfigurationError(
                f"{path}:{line_in(path, ('targets', name, key))}: targets: {name}: {sentence}"
            )

        if name in _RESERVED:
            raise wrong("", f"{name!r} is the name of another folder of ours; choose another name.")
        if name == DEFAULT and entry.folder is not None:
            raise wrong("folder", "its folder is the setting CROWN_PRODUCTION_ROOT; remove `folder`.")
        if name != DEFAULT and entry.folder is None:
            raise wrong("", "the key 'folder' is missing; add it.")
        if entry.profile is not None and entry.profile not in profiles:
            raise wrong(
                "profile", f"there is no profile {entry.profile!r}; known are {', '.join(sorted(profiles))}."
            )
        try:
            specs = select_specs(catalogue, entry.specs) if entry.specs else chosen
        except ConfigurationError as error:
            raise wrong("specs", str(error)) from None
        folder = entry.folder or settings.production
        profile = profiles[entry.profile] if entry.profile else None
        targets[name] = Target(name, folder, profile, specs)
    _refuse_nested(targets, taken)
    return targets


def _refuse_nested(targets: Mapping[str, Target], taken: Mapping[str, Path]) -> None:
    """A file must be in one target only, and none of them inside the folders we work in."""
    others = dict(taken)
    for target in targets.values():
        for what, folder in others.items():
            one, other = target.folder.resolve(), folder.resolve()  # by another way they are the same files
            if one.is_relative_to(other) or other.is_relative_to(one):
                raise ConfigurationError(
                    f"The folder {target.folder} of the target {target.name} and the folder {folder} of {what} lie"
                    " in each other; give each its own."
                )
        others[f"the target {target.name}"] = target.folder


def needed_specs(targets: Mapping[str, Target]) -> dict[str, Spec]:
    """Every spec that a target publishes, in the order of the targets."""
    needed: dict[str, Any] = {}
    for target in targets.values():
        needed |= target.specs
    return needed
