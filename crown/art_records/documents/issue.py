"""Invoices, statements and certificates: issuing with numbers, listing, and records of sending.

A document is issued once: its number follows the last one of its kind and year without a gap, and what it states
is kept with its files as they went out. A correction is a new document that replaces the old one. Does not belong
here: what is stated (`document_facts.py`) and what a page looks like (`document_pages.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection, Engine, text

from crown.art_records.documents.facts import (
    Draft,
    Seller,
    certificate,
    invoice,
    statement,
)
from crown.errors import BadInput, Refused, SystemicFailure
from crown.journal import activity
from crown.journal.activity import Via
from crown.store.objects import Objects

KINDS = ("invoice", "statement", "certificate")
_PREFIX = {"invoice": "INV", "statement": "STA", "certificate": "CER"}
_Prepare = Callable[[Connection, "int | None"], Draft]


@dataclass(frozen=True)
class Document:
    """A document as it was issued, or as it would be: `document_id` is None then."""

    label: str
    kind: str
    stated: dict[str, Any]
    document_id: int | None = None
    html_sha256: str = ""
    pdf_sha256: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"label": self.label, "kind": self.kind, "issued": self.document_id is not None, "stated": self.stated,
                "html_sha256": self.html_sha256 or None, "pdf_sha256": self.pdf_sha256 or None}  # fmt: skip


@dataclass(frozen=True)
class Order:
    """Who issues a document when and why.

    Attributes:
        who: The person.
        on: The day on the document.
        replaces: Label of the document that this one corrects.
        reason: Why; needed when it replaces one.
        apply: Issue it; otherwise only show what it would state.
        today: No document is after it; default the real day.
    """

    who: str
    on: date
    replaces: str | None = None
    reason: str | None = None
    apply: bool = False
    via: Via = "cli"
    today: date | None = None


def issue_invoice(
    engine: Engine, objects: Objects, by: Seller, gallery: str, month: date, order: Order
) -> Document:
    """Invoice what a gallery sold in a month and no other invoice states.

    Raises:
        BadInput: no such gallery, or replacing without a reason.
        Refused: nothing to invoice, something unknown, or the day or the replaced document does not fit.
    """
    return _issue(engine, objects, "invoice", order, lambda c, r: invoice(c, gallery, month, order.on, by, r))


def issue_statement(engine: Engine, objects: Objects, by: Seller, gallery: str, order: Order) -> Document:
    """State what a gallery owes and holds on the order's day.

    Raises:
        BadInput: no such gallery, or replacing without a reason.
        Refused: not a gallery, or the day or the replaced document does not fit.
    """
    return _issue(engine, objects, "statement", order, lambda c, _: statement(c, gallery, order.on, by))


def issue_certificate(engine: Engine, objects: Objects, by: Seller, edition: str, order: Order) -> Document:
    """Certify an edition, once.

    Raises:
        BadInput: no such edition, or replacing without a reason.
        Refused: it would not be true, one is in force already, or the day or the replaced document does not fit.
    """
    return _issue(engine, objects, "certificate", order, lambda c, _: certificate(c, edition, order.on, by))


def _issue(engine: Engine, objects: Objects, kind: str, order: Order, prepare: _Prepare) -> Document:
    from crown.art_records.tables import LOCK

    if not order.who.strip():
        raise BadInput("A document needs a name: say who you are.")
    if order.on > (order.today or date.today()):  # noqa: DTZ011
        raise Refused(f"{order.on} is in the future; a document bears the day on which it is issued.")
    with engine.begin() as connection:
        # The art tables do not change while they are read, and numbers are given one after the other.
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        old = _replaced(connection, kind, order)
        draft = prepare(connection, old.document_id if old else None)
        _check_subject(connection, draft, old)
        number = _next_number(connection, kind, order.on)
        label = f"{_PREFIX[kind]}-{order.on.year}-{number:04d}"
        stated = {"kind": kind, "label": label, **draft.stated}
        if old is not None:
            stated |= {"replaces": old.label, "reason": order.reason}
        if not order.apply:
            return Document(label, kind, stated)
        html_sha256, pdf_sha256 = _files(stated, objects)
        document_id = connection.execute(
            text("""
                insert into art.documents (kind, year, number, distributor_id, edition_id, month, issued_on, who, reason,
                                           replaces, stated, html_sha256, pdf_sha256)
                values (:kind, :year, :number, :distributor_id, :edition_id, :month, :on, :who, :reason, :replaces,
                        cast(:stated as jsonb), :html, :pdf)
                returning document_id
            """),
            {
                "kind": kind, "year": order.on.year, "number": number, "distributor_id": draft.distributor_id,
                "edition_id": draft.edition_id, "month": draft.month, "on": order.on, "who": order.who,
                "reason": order.reason, "replaces": old.document_id if old else None,
                "stated": json.dumps(stated, ensure_ascii=False), "html": html_sha256, "pdf": pdf_sha256,
            },
        ).scalar_one()  # fmt: skip
        activity.record(
            connection, who=order.who, what="issue", subject=f"documents/{label}", department="art_records", via=order.via,
            new={"kind": kind, "total": stated.get("totals", {}).get("total")}, details=order.reason,
            context={"replaces": old.label if old else None},
        )  # fmt: skip
    return Document(label, kind, stated, document_id, html_sha256, pdf_sha256)


def _replaced(connection: Connection, kind: str, order: Order) -> Any:
    """The document that is to be replaced, checked, or None."""
    if order.replaces is None:
        return None
    if not (order.reason or "").strip():
        raise BadInput("A document that replaces another says why: give a reason.")
    old = _row(connection, order.replaces)
    if old.kind != kind:
        raise Refused(f"{old.label} is a {old.kind}; {_article(kind)} does not replace it.")
    if old.replaced_by is not None:
        raise Refused(f"{old.label} was replaced by {old.replaced_by}; replace that one.")
    return old


def _article(kind: str) -> str:
    return f"{'an' if kind == 'invoice' else 'a'} {kind}"


def _check_subject(connection: Connection, draft: Draft, old: Any) -> None:
    """A replacement is about the same thing, and one certificate of an edition is in force."""
    if old is not None:
        same = (draft.distributor_id, draft.edition_id, draft.month) == (
            old.distributor_id, old.edition_id, old.month)  # fmt: skip
        if not same:
            raise Refused(
                f"{old.label} is about something else; {_article(draft.kind)} of that is a new document."
            )
        return
    if draft.kind == "certificate":
        label = connection.execute(
            text("""
                select label from art.documents d where edition_id = :e
                       and not exists (select from art.documents r where r.replaces = d.document_id)
            """),
            {"e": draft.edition_id},
        ).scalar_one_or_none()  # fmt: skip
        if label is not None:
            raise Refused(f"The certificate of this edition is {label}; another one has to replace it.")


def _next_number(connection: Connection, kind: str, on: date) -> int:
    number, newest, label = connection.execute(
        text("""
            select coalesce(max(number), 0) + 1, max(issued_on), (array_agg(label order by number desc))[1]
            from art.documents where kind = :k and year = :y
        """),
        {"k": kind, "y": on.year},
    ).one()
    if newest is not None and on < newest:
        raise Refused(
            f"{label} is of {newest}, so no {kind} can be of {on} any more: numbers follow the days."
        )
    return number


def _files(stated: dict[str, Any], objects: Objects) -> tuple[str, str]:
    """Make both files and keep them under their hashes: (html, pdf)."""
    from crown.art_records.documents.pages import html, page, pdf

    made = page(stated)
    hashes = []
    with TemporaryDirectory(prefix="crown-document-") as folder:
        for name, data in (("html", html(made).encode()), ("pdf", pdf(made))):
            path = Path(folder) / name
            path.write_bytes(data)
            hashes.append(objects.put(path)[0])
    return hashes[0], hashes[1]


# ---- finding and sending ----------------------------------------------------------------------------------


_FIND = """
    select d.*, r.label as replaced_by, o.label as replaces_label,
           coalesce(g.name, e.edition_display_name) as subject,
           (select max(s.sent_on) from art.document_sendings s where s.document_id = d.document_id) as sent_on
    from art.documents d
    left join art.documents r on r.replaces = d.document_id
    left join art.documents o on o.document_id = d.replaces
    left join art.distributors g on g.airtable_id = d.distributor_id
    left join art.editions e on e.airtable_id = d.edition_id
"""


def _row(connection: Connection, label: str) -> Any:
    row = connection.execute(text(_FIND + " where d.label = upper(:l)"), {"l": label.strip()}).one_or_none()
    if row is None:
        raise BadInput(f"There is no document {label}; `crown art documents` lists them.")
    return row


def listed(
    engine: Engine, *, kind: str | None = None, unsent: bool = False, limit: int = 50
) -> list[dict[str, Any]]:
    """Issued documents, the newest first."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(f"""
                select label, kind, issued_on, subject, to_char(month, 'YYYY-MM') as month,
                       coalesce(stated -> 'totals' ->> 'total', stated -> 'totals' ->> 'net')::numeric as total,
                       sent_on, replaces_label as replaces, replaced_by, who
                from ({_FIND}) f
                where (cast(:k as text) is null or kind = :k)
                      and (not :unsent or sent_on is null and replaced_by is null)
                order by issued_at desc, document_id desc limit :n
            """),
            {"k": kind, "unsent": unsent, "n": limit},
        )  # fmt: skip
        return [dict(row._mapping) for row in rows]


def document(engine: Engine, label: str) -> Document:
    """An issued document.

    Raises:
        BadInput: no such label.
    """
    with engine.connect() as connection:
        row = _row(connection, label)
    return Document(row.label, row.kind, row.stated, row.document_id, row.html_sha256, row.pdf_sha256)


def issued_bytes(found: Document, objects: Objects, form: str) -> bytes:
    """A document's file exactly as it was issued; `form` is html or pdf.

    Raises:
        SystemicFailure: the file is gone or damaged.
    """
    content_hash = found.html_sha256 if form == "html" else found.pdf_sha256
    if not objects.holds(content_hash):
        raise SystemicFailure(
            f"The file of {found.label} is gone or damaged; restore {content_hash} from the backup."
        )
    return objects.path(content_hash).read_bytes()


def mark_sent(
    engine: Engine, label: str, how: str, *, who: str, on: date, via: Via = "cli", today: date | None = None
) -> Document:
    """Record that a document went out; it may go out more than once.

    Raises:
        BadInput: no such document, or no word on how.
        Refused: before it was issued, or in the future.
    """
    if not how.strip() or not who.strip():
        raise BadInput("Say how it was sent, such as e-mail or post, and who you are.")
    with engine.begin() as connection:
        row = _row(connection, label)
        if not row.issued_on <= on <= (today or date.today()):  # noqa: DTZ011
            raise Refused(f"{row.label} is of {row.issued_on}; it cannot have been sent on {on}.")
        connection.execute(
            text(
                "insert into art.document_sendings (document_id, sent_on, how, who) values (:i, :on, :how, :who)"
            ),
            {"i": row.document_id, "on": on, "how": how.strip(), "who": who},
        )
        activity.record(
            connection, who=who, what="send", subject=f"documents/{row.label}", department="art_records", via=via,
            new={"sent_on": on.isoformat(), "how": how.strip()},
        )  # fmt: skip
    return Document(row.label, row.kind, row.stated, row.document_id, row.html_sha256, row.pdf_sha256)
