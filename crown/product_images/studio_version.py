"""The version of the studio engine, apart from it, so that recipes are computed without loading it."""

STUDIO_VERSION = 2
"""Goes into the recipe; raised on purpose whenever the same picture would give another alpha."""
NETWORKS = {
    "studio_coarse.onnx": "b0699a9cb7db203c7b492a9eb90dfa84f191df401d1d04f31c55539f144b95c4",
    "studio_fine.onnx": "2b6643da41ff1c9e9e5f11b0d230b36f4a2c6ffb5a9332714e05138c61bbc483",
}
"""The networks of this version by sha256; other networks are another version."""
