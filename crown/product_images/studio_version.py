"""The version of the studio engine, apart from it, so that recipes are computed without loading it."""

STUDIO_VERSION = 3
"""Goes into the recipe; raised on purpose whenever the same picture would give another alpha."""
NETWORKS = {
    "studio_coarse.onnx": "5cfd0f4cdcc4ed7324497a6856ef883b57d27df419e511351e965a0b5d132742",
    "studio_fine.onnx": "56d5e32a6d9190337dd660707506e6de963a5f721064af8005d939e4eb6a99ad",
}
"""The networks of this version by sha256; other networks are another version."""
