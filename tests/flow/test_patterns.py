"""A shell pattern means in SQL what it means in Python, whatever characters it and the keys hold."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from crown.errors import BadInput
from crown.flow.patterns import Patterns, condition
from crown.product_images.names import matches, patterns_of

_KEYS = st.lists(st.text("AB01_-.[]!^\\É中", max_size=5), min_size=1, max_size=6)
_PATTERNS = st.lists(st.text("AB01_-.[]!^\\É中*?", max_size=6), min_size=1, max_size=3)
_MATCHING = text(
    f"select key from unnest(cast(:keys as text[])) with ordinality as k(key, place) where {condition('key')}"
    " order by place"
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys=_KEYS, patterns=_PATTERNS)
def test_sql_and_python_agree_on_which_keys_patterns_mean(
    engine: Engine, keys: list[str], patterns: list[str]
) -> None:
    with engine.connect() as connection:
        found = connection.execute(_MATCHING, {"keys": keys, **Patterns.of(patterns).parameters}).scalars()
        assert list(found) == [
            key for key in keys if any(key == one or fnmatchcase(key, one) for one in patterns)
        ]


def test_a_photo_is_named_without_regard_to_case_or_form_of_unicode(engine: Engine) -> None:
    keys = ["CAFÉ_1", "GROSS", "52000123(2)", "A[1]"]
    with engine.connect() as connection:
        for pattern in ("cafe\u0301_?", "gro\u00df", "gro*", "52000123(2)", "a[1]", "a[[]1]", "[!c]*"):
            found = connection.execute(_MATCHING, {"keys": keys, **patterns_of([pattern]).parameters})
            assert list(found.scalars()) == [key for key in keys if matches(key, pattern)], pattern


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        (
            "*a" * 20_000,
            "The pattern '*a*a*a*a*a*a*a*a*a*a'... has 40,000 characters; give one of 500 at most.",
        ),
        ("a\0*", "The pattern 'a\\x00*' holds a character that is no text; leave it out."),
        ("\udcff*", "The pattern '\\udcff*' holds a character that is no text; leave it out."),
    ],
)
def test_a_pattern_that_the_database_would_refuse_is_refused_in_a_sentence(
    pattern: str, sentence: str
) -> None:
    with pytest.raises(BadInput) as refused:
        Patterns.of([pattern])
    assert str(refused.value) == sentence
