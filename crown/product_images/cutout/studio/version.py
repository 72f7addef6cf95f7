"""The version of the studio engine, in its own module so that recipes are computed without loading the engine."""

STUDIO_VERSION = 4
"""Goes into the recipe; raised on purpose whenever the same picture would give another alpha."""
NETWORKS = {
    "studio_coarse.onnx": "e39c7cbdae6128a1a7ecde1b106e35c1bfd6f1c8832a0bb507954c8c08784da2",
    "studio_fine.onnx": "90c38870505162dbbc1118e9a56169a68976edcffacf037abb19d990fb77c3c0",
}
"""The networks of this version by sha256; other networks are another version."""
