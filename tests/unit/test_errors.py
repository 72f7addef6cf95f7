"""How errors speak."""

from __future__ import annotations

import pytest

from crown.errors import with_article


@pytest.mark.parametrize(
    ("noun", "said"),
    [
        ("PNG file", "a PNG file"),
        ("AVIF file", "an AVIF file"),
        ("HEIC file", "a HEIC file"),
        ("SVG file", "an SVG file"),
        ("index", "an index"),
        ("view", "a view"),
    ],
)
def test_a_sentence_that_is_put_together_has_the_right_article(noun: str, said: str) -> None:
    assert with_article(noun) == said
