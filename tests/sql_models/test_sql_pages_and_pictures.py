"""The documentation page and the pictures that are drawn from marts."""

from __future__ import annotations

import io
import re
from datetime import date
from xml.etree import ElementTree

import pytest
from PIL import Image

from crown.art_records.charts import sales_by_month, sell_through_by_artwork
from crown.sql_models.docs import html, markdown, picture
from crown.sql_models.lineage import read_columns
from crown.sql_models.project import Project


def test_the_page_names_every_model_column_and_origin(project: Project) -> None:
    page, web = markdown(project), html(project)
    for relation, lineage in read_columns(project).items():
        assert f"### {relation}\n" in page
        assert f'<h2 id="{relation}">' in web
        for column in lineage:
            assert f"| `{column}` | " in page
    assert "`staging.art_prints.artwork`" in page
    assert "kind is one of gallery, direct, legacy, placeholder" in page
    assert "&lt;=" in web  # SQL is escaped


def test_the_picture_has_a_box_for_every_relation_and_a_line_for_every_edge(project: Project) -> None:
    space = "{http://www.w3.org/2000/svg}"
    drawn = ElementTree.fromstring(picture(project))  # noqa: S314 - our own text
    assert len(drawn.findall(f".//{space}path")) == sum(len(m.upstream) for m in project.models.values())
    boxes = drawn.findall(f".//{space}rect")[1:]
    assert len(boxes) == len(project.models) + len(project.sources)
    places = [(int(b.attrib["x"]), int(b.attrib["y"])) for b in boxes]
    assert len(set(places)) == len(places)
    assert all(x + 200 <= int(drawn.attrib["width"]) and y < int(drawn.attrib["height"]) for x, y in places)


def test_the_flow_chart_has_every_edge(project: Project) -> None:
    edges = set(re.findall(r"^  (\w+) --> (\w+)$", markdown(project), flags=re.MULTILINE))
    assert ("art__editions", "staging__art_editions") in edges
    assert len(edges) == sum(len(m.upstream) for m in project.models.values())


BLUE = (47, 111, 143)


def share_of_blue(png: bytes) -> float:
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    pixels = list(picture.get_flattened_data())
    return sum(pixel == BLUE for pixel in pixels) / len(pixels)


@pytest.mark.slow
def test_bars_grow_with_sales_and_nothing_sold_draws_no_bar() -> None:
    def months(*sold: int) -> bytes:
        rows = [
            {"month": date(2025, n, 1), "sold": s, "sell_through_percent": None}
            for n, s in enumerate(sold, 1)
        ]
        return sales_by_month(rows)

    assert share_of_blue(months(5, 5, 5)) > 2 * share_of_blue(months(5, 0, 0)) > 0
    assert share_of_blue(months(0, 0, 0)) < 0.002
    assert share_of_blue(sales_by_month([])) == 0
    assert months(1, 2, 3) == months(1, 2, 3)


def test_only_the_newest_months_are_drawn() -> None:
    old = [{"month": date(2020, 1, 1), "sold": 10_000, "sell_through_percent": 1}]
    new = [{"month": date(2025, n, 1), "sold": n, "sell_through_percent": 2} for n in range(1, 13)]
    assert sales_by_month(old + new, months=12) == sales_by_month(new)


@pytest.mark.parametrize(("sold", "left"), [(75, 25), (25, 75)])
def test_the_sold_part_of_a_bar_is_the_sold_share(sold: int, left: int) -> None:
    row = {"artwork": "Harbour", "sold": sold, "left_to_sell": left, "sell_through_percent": sold}
    picture = Image.open(io.BytesIO(sell_through_by_artwork([row]))).convert("RGB")
    middle = [picture.getpixel((x, picture.height * 6 // 10)) for x in range(picture.width)]
    blue, grey = middle.count(BLUE), middle.count((216, 222, 227))
    assert blue / (blue + grey) == pytest.approx(sold / 100, abs=0.02)


def test_a_work_without_a_name_or_a_size_is_drawn_all_the_same() -> None:
    nameless = {"artwork": None, "sold": 1, "left_to_sell": 0, "sell_through_percent": None}
    assert share_of_blue(sell_through_by_artwork([nameless])) > 0.1
