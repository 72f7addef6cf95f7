"""The version of each asset's code is that of the rules by which a sync cleans."""

from crown.art_records.exports.rules import rulebook
from crown.art_records.tables import ENTITIES
from crown.art_records.versions import CODE_VERSIONS
from crown.art_records.workspace import CLEAN, EXPORTS, TABLES


def test_the_assets_of_cleaned_tables_have_the_version_of_the_rules() -> None:
    assert set(CODE_VERSIONS) == {EXPORTS, *CLEAN.values(), *TABLES.values()}
    for table in ENTITIES:
        assert rulebook().version.startswith(f"{CODE_VERSIONS[CLEAN[table]]} (")
