"""The marts on a whole invented base with every fault of the real one: they agree, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from crown.art_records.history.comparing import Limits
from crown.art_records.history.syncing import sync
from crown.art_records.samples import sample_exports
from crown.sql_models.checks import check
from crown.sql_models.project import Project
from crown.store.objects import Objects

Rows = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def sample_art_records(art_records: Engine, tmp_path: Path) -> Engine:
    first, _ = sample_exports()
    sync(
        art_records, first.write(tmp_path / "exports"), "incremental", objects=Objects(tmp_path / "objects"),
        apply=True, who="test", limits=Limits(new_share=1.0),
    )  # fmt: skip
    return art_records


@pytest.mark.usefixtures("sample_art_records")
def test_every_sale_of_the_art_records_is_in_every_mart_once_or_named_as_outside(
    rows: Rows,
) -> None:
    (in_art_records,) = rows(
        "select count(*), sum(retail_price) from art.editions where is_sold and kind <> 'blank'"
    )
    (portfolio,) = rows("select sold + sold_outside, gross + gross_outside from marts.art_portfolio")
    assert portfolio == in_art_records

    (sold, gross, net, due) = rows("select sold, gross, net, due from marts.art_portfolio")[0]
    assert rows("select sum(sold), sum(gross), sum(net) from marts.art_artworks") == [(sold, gross, net)]
    assert rows("select count(*), sum(gross), sum(net) from marts.art_sales_register") == [(sold, gross, net)]
    for level in ("year", "quarter", "month", "channel"):
        sums = f"select sum(sales), sum(gross), sum(net) from marts.art_uk_tax_year where level = '{level}'"
        assert rows(sums) == [(sold, gross, net)], level
    assert rows("select sum(due) from marts.art_unsettled_ageing") == [(due,)]

    (placed,) = rows("select sum(sold), sum(gross), sum(net) from marts.art_galleries")
    assert rows("select sum(sales), sum(gross), sum(net) from marts.art_gallery_invoices") == [placed]
    assert rows("select sum(sold), sum(gross) from marts.art_gallery_artworks") == [placed[:2]]
    assert rows("select sold_without_gallery from marts.art_portfolio") == [(sold - placed[0],)]
    assert rows("select sum(in_stock) from marts.art_galleries") == rows(
        "select count(*) from marts.art_stock_check"
    )

    dated = sold - rows("select sold_without_date from marts.art_portfolio")[0][0]
    assert rows("select sum(sold) from marts.art_sales_by_month") == [(dated,)]
    assert rows("select sum(sold) from marts.art_sell_through") == [(dated,)]


def test_warnings_count_the_faults_that_the_sample_was_given(
    sample_art_records: Engine, project: Project
) -> None:
    findings = check(sample_art_records, project)
    assert [finding for finding in findings if not finding.passed and finding.severity == "error"] == []
    staging = {f.name: f.count for f in findings if f.relation == "staging.art_editions" and not f.passed}
    assert staging == {
        "retail_price_not_null": 75,  # sold without a price
        "date_sold_not_null": 138,  # sold without a date
        "date_in_gallery_expression": 137,  # came to the gallery after its sale
        "unique": 75,  # numbers that a print bears twice, one of them three times
    }
