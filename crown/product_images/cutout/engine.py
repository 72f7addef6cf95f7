"""Cutting a part out of its photo: the engine, its weights, and the resulting file.

Two engines implement one protocol: `studio`, our own, which brings its own weights, and the models of rembg, which
are used only when their weights are already in the weights folder; nothing is ever downloaded. The studio
engine is in `studio`, the quality score in `triage`.
The heavy libraries are imported inside the functions, so that definitions load without them.
"""

from __future__ import annotations

import hashlib
import os
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from crown.errors import ConfigurationError, PermanentFailure
from crown.store import files

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

STUDIO = "studio"
CUTOUT_VERSION = 2
"""Version of the steps before and after the engine: colours at the rim, trimming, the PNG. Raised on purpose."""
TRIM_ALPHA = 10
"""Pixels up to this alpha (4 %) do not hold the frame when transparent borders are trimmed."""
KEPT_SHARE = 0.02
"""A source of which less is transparent was not cut out by hand: stray pixels, rounded corners."""
KEPT_BORDER = 0.5
"""Of a cut-out at least this share of the frame's border is transparent: a part runs out of one side, not of all."""
MIN_SIDE = 32
"""Below this there is nothing to cut out of."""

_WHOLE_FRAME = 0.995
_NOT_FOR_PARTS = {
    "u2net_cloth_seg": "it separates clothes",
    "sam": "it needs points to be clicked",
    "u2net_custom": "a model of your own goes under the name of the architecture it has, such as u2net",
    "dis_custom": "a model of your own goes under the name of the architecture it has, such as isnet-general-use",
    "ben_custom": "a model of your own goes under the name of the architecture it has",
}


class Cutter(Protocol):
    """An engine: sRGB pixels in, alpha out."""

    name: str

    def recipe(self) -> dict[str, Any]:
        """Everything that decides the result besides the picture: model, versions, sha256 of the weights."""
        ...

    def cut(self, rgb: np.ndarray) -> tuple[np.ndarray, float | None]:
        """Alpha (H x W uint8) of H x W x 3 uint8, and the engine's steadiness from 0 to 1 if it knows it."""
        ...


class StudioCutter:
    """Our own engine for studio backdrops."""

    name = STUDIO

    def recipe(self) -> dict[str, Any]:
        """See `Cutter.recipe`."""
        return cutout_recipe(STUDIO, None)

    def cut(self, rgb: np.ndarray) -> tuple[np.ndarray, float | None]:
        """See `Cutter.cut`."""
        from crown.product_images.cutout.studio import engine as studio

        result = studio.analyse(rgb)
        return result.alpha, result.steadiness


class StudioSession:
    """The studio engine as a session of rembg: `rembg.remove(picture, session=StudioSession())`.

    It is no subclass of rembg's BaseSession, whose constructor opens an ONNX model; `remove` asks only for
    `predict`.
    """

    model_name = STUDIO

    @classmethod
    def name(cls, *args: Any, **kwargs: Any) -> str:
        """Name of the model, as rembg's sessions give it."""
        del args, kwargs
        return STUDIO

    def predict(self, img: Image, *args: Any, **kwargs: Any) -> list[Image]:
        """Return one mask (mode L) in the size of the picture."""
        del args, kwargs
        import numpy as np
        from PIL import Image

        from crown.product_images.cutout.studio import engine as studio

        return [Image.fromarray(studio.cut_out(np.asarray(img.convert("RGB"))))]


class NeuralCutter:
    """A model of rembg whose weights lie on this machine."""

    def __init__(self, name: str, weights: Path, session: Any) -> None:
        self.name = name
        self.weights = weights
        self._session = session

    def recipe(self) -> dict[str, Any]:
        """See `Cutter.recipe`."""
        return _neural_recipe(self.name, self.weights)

    def cut(self, rgb: np.ndarray) -> tuple[np.ndarray, float | None]:
        """See `Cutter.cut`; these models do not say how sure they are."""
        import numpy as np
        from PIL import Image

        masks = self._session.predict(Image.fromarray(rgb))
        return np.asarray(masks[0].convert("L"), dtype=np.uint8), None


def open_cutter(model: str, weights_dir: Path | None) -> Cutter:
    """Open an engine; within one process each is opened once.

    Args:
        model: `studio`, or the name of a model of rembg.
        weights_dir: Folder with `<model>.onnx` (or `models/<model>/<model>.onnx`, as rembg lays them out). A file
            `<model>.onnx.sha256` beside the weights is checked when it is there.

    Raises:
        ConfigurationError: Unknown model, one that cannot serve here, or no weights.
    """
    if model == STUDIO:
        return StudioCutter()
    weights = _weights(model, weights_dir)
    return _open_neural(model, weights, *_stamp(weights))


def cutout_recipe(model: str, weights_dir: Path | None) -> dict[str, Any]:
    """Recipe of a cut-out with this model, without loading the engine.

    Raises:
        ConfigurationError: As for `open_cutter`, save that an unknown model with a weights file passes.
    """
    if model == STUDIO:
        from crown.product_images.cutout.studio.version import STUDIO_VERSION

        return {"model": STUDIO, "version": CUTOUT_VERSION, "studio": STUDIO_VERSION}
    _refuse_unfit(model)
    return _neural_recipe(model, _weights(model, weights_dir))


def _neural_recipe(model: str, weights: Path) -> dict[str, Any]:
    return {"model": model, "version": CUTOUT_VERSION, "weights_sha256": _sha256(weights, *_stamp(weights))}


def _refuse_unfit(model: str) -> None:
    if model in _NOT_FOR_PARTS:
        raise ConfigurationError(
            f"The model {model} cannot be used for product images: {_NOT_FOR_PARTS[model]}."
        )


def _weights(model: str, weights_dir: Path | None) -> Path:
    """Find and check the weights file of a model."""
    if not model or Path(model).name != model:
        raise ConfigurationError(
            f"{model!r} is no name of a cut-out model; write studio or a model of rembg."
        )
    if weights_dir is None:
        raise ConfigurationError(
            f"The cut-out model {model} needs weights and no weights folder is set; "
            f"set one that holds {model}.onnx, or use the model studio."
        )
    candidates = (weights_dir / f"{model}.onnx", weights_dir / "models" / model / f"{model}.onnx")
    weights = next((path for path in candidates if path.is_file()), None)
    if weights is None:
        raise ConfigurationError(
            f"The cut-out model {model} needs its weights: {model}.onnx is not in {weights_dir}. "
            "Put the file there (it is never downloaded in a run), or use the model studio."
        )
    note = weights.with_name(weights.name + ".sha256")
    if note.is_file():
        wanted = note.read_text(encoding="utf-8").split()
        if not wanted or wanted[0].lower() != _sha256(weights, *_stamp(weights)):
            raise ConfigurationError(
                f"The weights {weights} do not have the sha256 that {note.name} promises; copy them again."
            )
    return weights


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=16)
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    del size, mtime_ns  # Part of the key: a replaced file is hashed again.
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=4)
def _open_neural(model: str, weights: Path, size: int, mtime_ns: int) -> NeuralCutter:
    del size, mtime_ns
    import onnxruntime
    from rembg.sessions import sessions

    _refuse_unfit(model)
    kind = sessions.get(model)
    if kind is None:
        known = ", ".join(sorted(name for name in sessions if name not in _NOT_FOR_PARTS))
        raise ConfigurationError(f"rembg knows no model {model}; it knows {known}, and studio is ours.")
    if not kind.is_local():
        raise ConfigurationError(f"The model {model} sends pictures to a remote service; choose a local one.")

    class Local(kind):  # type: ignore[misc, valid-type]
        """The same session on the weights that were found, without rembg's own search and download."""

        @classmethod
        def download_models(cls, *args: Any, **kwargs: Any) -> str:
            del args, kwargs
            return str(weights)

    options = onnxruntime.SessionOptions()
    if threads := os.environ.get("OMP_NUM_THREADS"):
        options.intra_op_num_threads = options.inter_op_num_threads = int(threads)
    try:
        session = Local(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no class but Exception
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigurationError(
            f"The weights {weights} cannot be opened ({reason}); copy them again."
        ) from error
    return NeuralCutter(model, weights, session)


def make_cutout(
    source: Path,
    target: Path,
    *,
    model: str,
    weights_dir: Path | None,
    max_pixels: int,
    name: str | None = None,
) -> dict[str, Any]:
    """Cut out one picture and write it as PNG: RGBA, 8 bit, sRGB, transparent borders trimmed.

    A source that is cut out already (`is_cut_out`) keeps its alpha. The same source and recipe give the same bytes.
    Runs in a worker process; touches nothing but `target`.

    Args:
        source: The photo, in any format of `pictures.FORMATS`.
        target: Where the PNG goes; complete or absent.
        model: See `open_cutter`.
        weights_dir: See `open_cutter`.
        max_pixels: Larger photos are refused unread.
        name: What people call the photo, for sentences.

    Returns:
        width, height (after trimming), offset (left, top), source_width, source_height, engine (the model, or
        "kept" for an alpha that was there), triage {score, flags, features}, seconds {load, cut, colour, write}.

    Raises:
        BadInput: The photo cannot be read.
        PermanentFailure: Nothing, or the whole frame, would remain.
        ConfigurationError: The engine cannot be opened.
    """
    import numpy as np

    from crown.pictures.decoding import open_picture, pixels
    from crown.product_images.cutout import triage
    from crown.product_images.cutout.studio import matting

    label = name or source.name
    clock = _Clock()
    cutter = open_cutter(model, weights_dir)
    picture = pixels(open_picture(source, max_pixels, name=label))
    height, width = picture.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise PermanentFailure(f"{label} has only {width} x {height} pixels: too few to cut a part out of.")
    kept = picture.shape[2] == 4 and is_cut_out(picture[..., 3])
    rgb = np.ascontiguousarray(picture[..., :3]) if kept else _opaque(picture)
    clock.lap("load")
    alpha, steadiness = (np.ascontiguousarray(picture[..., 3]), None) if kept else cutter.cut(rgb)
    clock.lap("cut")
    box = _box(alpha, label)
    verdict = triage.judge(rgb, alpha, steadiness=steadiness, already_cut=kept)
    clock.lap("triage")
    rgb, alpha = rgb[box], alpha[box]
    if not kept:
        rgb = matting.foreground(rgb, alpha)
    clock.lap("colour")
    _write_png(rgb, alpha, target)
    clock.lap("write")
    return {
        "width": alpha.shape[1],
        "height": alpha.shape[0],
        "offset": [box[1].start, box[0].start],
        "source_width": width,
        "source_height": height,
        "engine": "kept" if kept else cutter.name,
        "triage": {"score": verdict.score, "flags": list(verdict.flags), "features": verdict.features},
        "seconds": clock.laps,
    }


def is_cut_out(alpha: np.ndarray) -> bool:
    """Whether an alpha is plausibly that of a cut-out: the backdrop is gone, and gone along the frame.

    A few stray transparent pixels, rounded corners, a hole or a window in the middle of a photo are none, and an alpha
    under which nothing solid is left is none.

    >>> import numpy as np
    >>> is_cut_out(np.pad(np.full((50, 50), 255), 10))
    True
    """
    import numpy as np

    clear = alpha < 128
    border = np.concatenate([clear[0], clear[-1], clear[1:-1, 0], clear[1:-1, -1]])
    return bool(float(clear.mean()) >= KEPT_SHARE and float(border.mean()) >= KEPT_BORDER and not clear.all())


def _opaque(picture: np.ndarray) -> np.ndarray:
    """The colours without their alpha; what is under transparent pixels is anything, so the backdrop covers it."""
    import numpy as np

    rgb = np.ascontiguousarray(picture[..., :3])
    if picture.shape[2] == 3 or (picture[..., 3] == 255).all():
        return rgb
    alpha = picture[..., 3:].astype(np.float32) / 255
    border = [picture[0], picture[-1], picture[:, 0], picture[:, -1]]
    seen = np.concatenate([side[side[:, 3] >= 128, :3] for side in border])
    backdrop = np.median(seen, axis=0) if len(seen) else np.full(3, 255)
    return np.rint(rgb * alpha + backdrop * (1 - alpha)).astype(np.uint8)


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round(now - self._last, 3)
        self._last = now


def _box(alpha: np.ndarray, label: str) -> tuple[slice, slice]:
    """Rows and columns that hold the part; refuses an empty mask and one that removes nothing."""
    import numpy as np

    solid = alpha >= 128
    if not solid.any():
        raise PermanentFailure(
            f"{label}: nothing differs from the backdrop; cut it out by hand, or try another model."
        )
    if float(solid.mean()) > _WHOLE_FRAME:
        raise PermanentFailure(
            f"{label}: no backdrop was found, the part seems to fill the frame; "
            "photograph it with space around it, or cut it out by hand."
        )
    rows = np.flatnonzero((alpha > TRIM_ALPHA).any(axis=1))
    columns = np.flatnonzero((alpha > TRIM_ALPHA).any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _write_png(rgb: np.ndarray, alpha: np.ndarray, target: Path) -> None:
    """Write RGBA; colours under full transparency are cleared, so that they neither show nor take space."""
    import numpy as np
    import pyvips

    data = np.dstack([np.where(alpha[..., None] > 0, rgb, 0), alpha])
    height, width = alpha.shape
    image = pyvips.Image.new_from_memory(np.ascontiguousarray(data), width, height, 4, "uchar")
    unfinished = files.temporary(target)
    try:
        with files.systemic_errors(f"Writing {target}"), unfinished.open("xb") as file:
            tagged = image.copy(interpretation="srgb")
            file.write(tagged.pngsave_buffer(compression=6, filter="all", profile="srgb", keep="icc"))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
