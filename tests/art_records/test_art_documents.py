"""Invoices, statements and certificates: what they state, their numbers, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from crown.art_records.acts import bookkeeping, local
from crown.art_records.documents import issue as documents
from crown.art_records.documents.facts import Seller, compact, seller
from crown.art_records.documents.issue import Document, Order
from crown.art_records.documents.pages import html, page, pdf
from crown.art_records.workspace import kept_objects
from crown.errors import BadInput, ConfigurationError, Refused, SystemicFailure
from crown.settings.model import Settings

from .conftest import ArtTables, distributor_row, edition_row, print_row, rid

TODAY = date(2026, 3, 1)
JANUARY = date(2026, 1, 1)
US = Seller(name="Łukasz & Moore", address=("1 Quay Street",), payment_details="Bank 1",
            addresses={"amber <room>": ("2 High Street", "Town")})  # fmt: skip


@pytest.fixture
def stocked(art_records: ArtTables) -> ArtTables:
    """Amber <Room> sold 1 to 3 (3 in February), Blue Door 4 of no price; 5, 6, 8 stand in Amber <Room>, 7 unprinted."""
    sold = {"Printed": "checked", "Sold": "checked", "Retail Price": "£100.05"}
    art_records.sync(
        prints=[print_row(1, **{"Total Editions": "10"}), print_row(2)],
        distributors=[distributor_row(1, "Direct", Commission="0%"), distributor_row(2, "Amber <Room>", Commission="40%"),
                      distributor_row(3, "Blue Door", Commission="50%")],
        editions=[
            edition_row(1, at=2, Commission="40%", **sold, **{"Date Sold": "1/5/2026"}),
            edition_row(2, at=2, Commission="35%", **sold, **{"Date Sold": "1/31/2026"}),
            edition_row(3, at=2, Commission="40%", **sold, **{"Date Sold": "2/1/2026"}),
            edition_row(4, at=3, Commission="50%", Printed="checked", Sold="checked", **{"Date Sold": "1/9/2026"}),
            edition_row(5, at=2, Printed="checked", Size="Large", **{"Retail Price": "£1,200.00"}),
            edition_row(6, at=2, Printed="checked", **{"Retail Price": "£100.00"}),
            edition_row(7, at=2), edition_row(8, at=2, Printed="checked"),
            edition_row(9, of=2, at=1, Printed="checked"),
        ],
    )  # fmt: skip
    return art_records


def order(on: date = date(2026, 2, 2), **more: object) -> Order:
    return Order(**{"who": "ann", "on": on, "apply": True, "today": TODAY} | more)  # type: ignore[arg-type]


def invoice(
    art_records: ArtTables,
    month: date = JANUARY,
    by: Seller = US,
    gallery: str = "Amber <Room>",
    **more: object,
) -> Document:
    return documents.issue_invoice(art_records.engine, art_records.objects, by, gallery, month, order(**more))  # type: ignore[arg-type]


def certificate(art_records: ArtTables, number: int, **more: object) -> Document:
    return documents.issue_certificate(
        art_records.engine, art_records.objects, US, rid("E", number), order(**more)
    )  # type: ignore[arg-type]


def statement(art_records: ArtTables, **more: object) -> Document:
    return documents.issue_statement(
        art_records.engine, art_records.objects, US, "Amber <Room>", order(**more)
    )  # type: ignore[arg-type]


def test_an_invoice_states_each_sale_of_the_month_with_the_art_records_own_net(stocked: ArtTables) -> None:
    made = invoice(stocked)
    assert made.label == "INV-2026-0001"
    lines = [(line["edition"], line["date_sold"], line["price"], line["commission"], line["net"])
             for line in made.stated["lines"]]  # fmt: skip
    assert lines == [("Work 1 - 1", "2026-01-05", "100.05", "40.02", "60.03"),
                     ("Work 1 - 2", "2026-01-31", "100.05", "35.02", "65.03")]  # fmt: skip
    assert made.stated["totals"] == {
        "price": "200.10",
        "commission": "75.04",
        "net": "125.06",
        "total": "125.06",
    }
    assert made.stated["due_on"] == "2026-03-04"
    net = stocked.one("select sum(invoice_amount) from art.editions where date_sold between '2026-01-01' and '2026-01-31' "
                      "and distributor_id = :d", d=rid("D", 2))  # fmt: skip
    assert Decimal(made.stated["totals"]["net"]) == net
    trail = "select who, subject from journal.activity where what = 'issue'"
    assert stocked.rows(trail) == [("ann", "documents/INV-2026-0001")]


def test_a_preview_issues_nothing_and_uses_no_number(stocked: ArtTables) -> None:
    shown = invoice(stocked, apply=False)
    assert (shown.label, shown.document_id) == ("INV-2026-0001", None)
    assert stocked.one("select count(*) from art.documents") == 0
    assert invoice(stocked).label == "INV-2026-0001"


def test_numbers_have_no_gaps_per_kind_and_year_also_when_many_are_issued_at_once(stocked: ArtTables) -> None:
    certificate(stocked, 1, on=date(2025, 12, 31))
    start = Barrier(5)
    refused: list[str] = []

    def certify(number: int) -> None:
        start.wait()
        try:
            certificate(stocked, number)
        except Refused as error:
            refused.append(str(error))

    threads = [Thread(target=certify, args=(n,)) for n in (2, 3, 5, 6, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == ["Work 1 - 7 is not printed yet; a certificate would not be true."]
    invoice(stocked)
    assert stocked.rows("select label from art.documents order by kind, year, number") == [
        ("CER-2025-0001",), ("CER-2026-0001",), ("CER-2026-0002",), ("CER-2026-0003",), ("CER-2026-0004",),
        ("INV-2026-0001",)]  # fmt: skip


def test_numbers_follow_the_days(stocked: ArtTables) -> None:
    invoice(stocked, on=date(2026, 2, 10))
    with pytest.raises(Refused, match="INV-2026-0001 is of 2026-02-10, so no invoice can be of 2026-02-09"):
        invoice(stocked, month=date(2026, 2, 1), on=date(2026, 2, 9))
    with pytest.raises(Refused, match="2026-03-02 is in the future"):
        invoice(stocked, month=date(2026, 2, 1), on=date(2026, 3, 2))


def test_the_database_itself_refuses_a_gap_a_change_and_a_removal(stocked: ArtTables) -> None:
    invoice(stocked)
    documents.mark_sent(stocked.engine, "INV-2026-0001", "post", who="ann", on=date(2026, 2, 3), today=TODAY)
    insert = ("insert into art.documents (kind, year, number, edition_id, issued_on, who, stated, html_sha256, pdf_sha256) "
              "values ('certificate', 2026, 2, 'x', '2026-02-02', 'ann', '{}', '', '')")  # fmt: skip
    for statement, sentence in (
        (insert, "has the number 1, not 2"),
        ("update art.documents set stated = '{}'", "only grows"), ("delete from art.documents", "only grows"),
        ("truncate art.documents cascade", "only grows"), ("delete from art.document_sendings", "only grows"),
    ):  # fmt: skip
        with pytest.raises(DBAPIError, match=sentence), stocked.engine.begin() as connection:
            connection.execute(text(statement.replace(":", "\\:")))


def test_a_sale_stands_on_one_invoice_and_a_correction_is_a_new_one_that_refers_to_the_old(
    stocked: ArtTables,
) -> None:
    first = invoice(stocked)
    with pytest.raises(Refused, match="sold in 2026-01 is on INV-2026-0001; a correction replaces it"):
        invoice(stocked)
    back = bookkeeping.take_back_sale(stocked.engine, rid("E", 2), who="ann", reason="returned")
    assert back.warning == "The sale is on invoice INV-2026-0001; issue one that replaces it."
    with pytest.raises(BadInput, match="give a reason"):
        invoice(stocked, replaces="INV-2026-0001")
    with pytest.raises(Refused, match="is about something else"):
        invoice(stocked, month=date(2026, 2, 1), replaces="INV-2026-0001", reason="returned")
    second = invoice(stocked, replaces="inv-2026-0001", reason="one was returned")
    assert (second.label, second.stated["replaces"], second.stated["totals"]["total"]) == (
        "INV-2026-0002", "INV-2026-0001", "60.03")  # fmt: skip
    assert documents.document(stocked.engine, "INV-2026-0001").stated == first.stated
    with pytest.raises(Refused, match="INV-2026-0001 was replaced by INV-2026-0002"):
        invoice(stocked, replaces="INV-2026-0001", reason="again")
    assert stocked.rows("select edition_id, label from art.invoiced_sales") == [
        (rid("E", 1), "INV-2026-0002")
    ]
    rows = documents.listed(stocked.engine)
    assert [(r["label"], r["replaces"], r["replaced_by"], r["total"]) for r in rows] == [
        ("INV-2026-0002", "INV-2026-0001", None, Decimal("60.03")),
        ("INV-2026-0001", None, "INV-2026-0002", Decimal("125.06"))]  # fmt: skip


def test_a_sale_entered_late_comes_on_an_invoice_of_its_own(stocked: ArtTables) -> None:
    invoice(stocked)
    local.sell(stocked.engine, rid("E", 6), who="ann", sold_on=date(2026, 1, 20), commission=Decimal(40))
    late = invoice(stocked)
    assert [line["edition"] for line in late.stated["lines"]] == ["Work 1 - 6"]


@pytest.mark.parametrize(
    ("gallery", "month", "sentence"),
    [
        ("Blue Door", JANUARY, "price of Work 1 - 4 is unknown"), ("Direct", JANUARY, "of the kind direct"),
        ("Amber <Room>", date(2025, 5, 1), "sold nothing in 2025-05"), ("Nowhere", JANUARY, "not in distributors"),
    ],
)  # fmt: skip
def test_an_invoice_that_cannot_be_true_is_refused(
    stocked: ArtTables, gallery: str, month: date, sentence: str
) -> None:
    with pytest.raises((Refused, BadInput), match=sentence):
        invoice(stocked, gallery=gallery, month=month)
    assert stocked.one("select count(*) from art.documents") == 0


@pytest.mark.parametrize(
    ("added", "before", "vat", "total"),
    [(False, "104.22", "20.84", "125.06"), (True, "125.06", "25.01", "150.07")],
)
def test_vat_is_a_part_of_net_or_comes_on_top_as_the_setting_says(
    stocked: ArtTables, added: bool, before: str, vat: str, total: str
) -> None:
    made = invoice(stocked, by=Seller("We", vat_percent=Decimal(20), vat_number="GB1", vat_added=added))
    totals = made.stated["totals"]
    assert (totals["before_vat"], totals["vat"], totals["total"], totals["net"]) == (
        before,
        vat,
        total,
        "125.06",
    )
    shown = html(page(made.stated))
    assert [
        word for word in ("VAT number GB1", "VAT 20 %", f"£{vat}", f"£{total}") if word not in shown
    ] == []


def test_a_statement_says_what_is_due_by_age_and_what_is_on_consignment(stocked: ArtTables) -> None:
    invoice(stocked)
    local.settle(stocked.engine, rid("E", 2), who="ann", paid_on=date(2026, 2, 10), today=TODAY)
    made = statement(stocked, on=date(2026, 3, 1))
    assert [(line["edition"], line["net"], line["invoice"]) for line in made.stated["lines"]] == [
        ("Work 1 - 1", "60.03", "INV-2026-0001"), ("Work 1 - 3", "60.03", None)]  # fmt: skip
    assert made.stated["totals"]["net"] == "120.06"
    assert {k: v for k, v in made.stated["ageing"].items() if v != "0.00"} == {
        "0-30 days": "60.03", "31-60 days": "60.03"}  # fmt: skip
    assert made.stated["held"] == [
        {"work": "Work 1", "copies": 3, "numbers": "5-6, 8", "value": "1300.00", "without_price": 1}]  # fmt: skip
    assert statement(stocked, on=date(2026, 3, 1)).label == "STA-2026-0002", "a statement may be made again"
    assert compact([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"


def test_a_statement_asks_for_the_vat_that_the_invoices_add(stocked: ArtTables) -> None:
    by = replace(US, vat_percent=Decimal(20), vat_number="GB 1", vat_added=True)
    billed = invoice(stocked, by=by)
    made = documents.issue_statement(
        stocked.engine, stocked.objects, by, "Amber <Room>", order(on=date(2026, 2, 1))
    )
    sums = ["net", "before_vat", "vat", "total"]
    assert [billed.stated["totals"][name] for name in sums] == ["125.06", "125.06", "25.01", "150.07"]
    assert [made.stated["totals"][name] for name in sums] == ["185.09", "185.09", "37.02", "222.11"]
    due, ages, _ = page(made.stated).tables
    assert due.sums == (("Net before VAT", "£185.09"), ("VAT 20 %", "£37.02"), ("Total due", "£222.11"))
    assert ages.title == "Due by age of the sale, before VAT"
    (listed, *_) = documents.listed(stocked.engine)
    assert (listed["label"], listed["total"]) == (made.label, Decimal("222.11"))
    del made.stated["totals"]["total"], made.stated["totals"]["vat"]
    assert page(made.stated).tables[0].sums == (("Total due", "£185.09"),), "as it was issued before"


def test_an_edition_has_one_certificate_in_force(stocked: ArtTables) -> None:
    made = certificate(stocked, 5)
    assert made.stated["edition"] | {"id": ""} == {
        "id": "", "work": "Work 1", "number": 5, "total": 10, "size": "Large", "frame": None, "variation": None,
        "description": None}  # fmt: skip
    with pytest.raises(Refused, match="The certificate of this edition is CER-2026-0001"):
        certificate(stocked, 5)
    assert certificate(stocked, 5, replaces=made.label, reason="lost").label == "CER-2026-0002"
    with pytest.raises(Refused, match="a certificate; an invoice does not replace it"):
        invoice(stocked, replaces="CER-2026-0002", reason="no")
    with pytest.raises(Refused, match="number 9 of an unknown total"):
        certificate(stocked, 9)


def test_the_files_are_kept_as_they_were_issued_whatever_the_art_records_say_later(
    stocked: ArtTables,
) -> None:
    made = invoice(stocked)
    before = {form: documents.issued_bytes(made, stocked.objects, form) for form in ("html", "pdf")}
    local.edit(stocked.engine, "distributors", rid("D", 2), {"name": "Renamed"}, who="ann")
    found = documents.document(stocked.engine, made.label)
    assert {form: documents.issued_bytes(found, stocked.objects, form) for form in before} == before
    assert before["pdf"].startswith(b"%PDF-")
    shown = before["html"].decode()
    assert "Amber &lt;Room&gt;" in shown
    assert "<Room>" not in shown
    assert set(kept_objects(stocked.engine)) >= {made.html_sha256, made.pdf_sha256}, "housekeeping keeps them"
    stocked.objects.path(made.pdf_sha256).unlink()
    with pytest.raises(SystemicFailure, match="INV-2026-0001 is gone or damaged"):
        documents.issued_bytes(found, stocked.objects, "pdf")


def test_the_same_statement_makes_the_same_pdf_and_what_its_font_lacks_is_refused(stocked: ArtTables) -> None:
    made = page(invoice(stocked).stated)
    assert pdf(made) == pdf(made)
    assert len(re.findall(rb"/Type /Page\b", pdf(made))) == 1
    local.edit(stocked.engine, "distributors", rid("D", 2), {"name": "画廊"}, who="ann")
    with pytest.raises(BadInput, match="The PDF's font has no"):
        documents.issue_statement(stocked.engine, stocked.objects, US, rid("D", 2), order())
    assert stocked.one("select count(*) from art.documents where kind = 'statement'") == 0


def test_sent_is_recorded_each_time_and_unsent_ones_are_listed(stocked: ArtTables) -> None:
    invoice(stocked)
    certificate(stocked, 1)
    assert [r["label"] for r in documents.listed(stocked.engine, unsent=True)] == [
        "CER-2026-0001",
        "INV-2026-0001",
    ]
    for on in (date(2026, 2, 3), date(2026, 2, 9)):
        documents.mark_sent(stocked.engine, "INV-2026-0001", "e-mail", who="ann", on=on, today=TODAY)
    assert [r["label"] for r in documents.listed(stocked.engine, unsent=True)] == ["CER-2026-0001"]
    assert documents.listed(stocked.engine, kind="invoice")[0]["sent_on"] == date(2026, 2, 9)
    with pytest.raises(Refused, match="cannot have been sent on 2026-02-01"):
        documents.mark_sent(
            stocked.engine, "INV-2026-0001", "post", who="ann", on=date(2026, 2, 1), today=TODAY
        )
    with pytest.raises(BadInput, match="no document INV-2026-0009"):
        documents.mark_sent(stocked.engine, "INV-2026-0009", "post", who="ann", on=TODAY, today=TODAY)


def test_the_seller_and_the_addresses_come_from_the_settings(tmp_path: Path) -> None:
    addresses = tmp_path / "addresses.yaml"
    addresses.write_text("Amber Room: 2 High Street; Town\n", encoding="utf-8")

    def ours(**vat: Any) -> Settings:
        art = {"address": "1 Quay Street; Town", "addresses": addresses, **vat}
        return Settings.model_validate(
            {"home": tmp_path, "product_images": {"company_name": "We"}, "art_records": art}
        )

    by = seller(ours(vat_percent=20, vat_number="GB1", vat="added"))
    assert (by.name, by.address, by.vat_percent, by.vat_added, by.addresses) == (
        "We", ("1 Quay Street", "Town"), Decimal("20.0"), True, {"amber room": ("2 High Street", "Town")})  # fmt: skip
    with pytest.raises(ConfigurationError, match="CROWN_ART_RECORDS_VAT_NUMBER"):
        seller(ours(vat_percent=20))
    with pytest.raises(ConfigurationError, match="CROWN_PRODUCT_IMAGES_COMPANY_NAME"):
        seller(Settings(home=tmp_path))
    addresses.write_text("just text", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"addresses\.yaml cannot be read"):
        seller(ours())
