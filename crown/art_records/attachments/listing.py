"""Which pictures the newest export of prints names, and where they can be read: the rows of art.attachments.

Belongs here: reading the export's picture column, and what is known of each picture. Does not belong here: downloading
(`download.py`) and what should be downloaded (`stages.py`).
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urldefrag, urlsplit

from sqlalchemy import Connection, Engine, text

from crown.art_records.workspace import ATTACHMENTS, Workspace
from crown.errors import BadInput
from crown.ledger import planning
from crown.ledger.locks import lock_assets

if TYPE_CHECKING:
    from crown.art_records.exports.files import Export

SOURCE = "airtable_attachments"
"""What the ledger calls the hosts of the pictures among its limited resources."""
_RULE = "attachments"
_WRITE = """
insert into art.attachments as a (item_key, print_id, position, file_name, attachment_id, url, host, listed_in)
values (:item_key, :print_id, :position, :file_name, :attachment_id, :url, :host, :listed_in)
on conflict (item_key) do update set position = excluded.position, file_name = excluded.file_name, url = excluded.url,
    host = excluded.host, listed_in = excluded.listed_in, listed_at = clock_timestamp()
"""
_SHOWN = """
select a.item_key as picture, a.print_id, coalesce(p.name, a.print_id) as work, a.position, a.file_name,
       coalesce(i.state, 'pending') as state, coalesce(i.error, 'waits for ' || i.waiting_for) as reason,
       o.content_hash, o.size_bytes as bytes, cast(o.facts ->> 'width' as integer) as width,
       cast(o.facts ->> 'height' as integer) as height, o.made_at as downloaded_at
from art.attachments a
left join art.prints p on p.airtable_id = a.print_id
left join ledger.items i on i.asset = :asset and i.key = a.item_key
left join ledger.outputs o on o.output_id = i.output_id and i.state = 'current'
order by work, a.print_id, a.position
"""


@dataclass(frozen=True)
class Listed:
    """A picture that an export names.

    Attributes:
        print_id: the print that it belongs to.
        position: among the print's pictures, from 1; the first is the print's primary image.
        file_name: as the base shows it.
        attachment_id: the base's own id, which only the API gives.
        url: where it can be read, for a few hours.
    """

    print_id: str
    position: int
    file_name: str
    attachment_id: str | None
    url: str

    @property
    def host(self) -> str:
        """The host of the address."""
        return (urlsplit(self.url).hostname or "").lower()


def newest(workspace: Workspace) -> tuple[Export, str] | None:
    """The newest received export of prints, and the hash of its file; None before the first.

    Raises:
        BadInput: its file is gone or damaged.
    """
    from crown.art_records.exports import arriving
    from crown.art_records.exports.files import parse

    for raw in arriving.kept_files(workspace, ("prints",)):
        return parse(raw, workspace.book.layouts), raw.sha256
    return None


def listed_in(export: Export, workspace: Workspace) -> dict[str, list[Listed]] | None:
    """The pictures of each print whose cell can be read; None when the export has no column of pictures."""
    from crown.art_records.exports.rules import judge

    column = next((c for c, rule in export.layout.rules.items() if rule == _RULE), None)
    if column is None or column in export.absent:
        return None
    pictures: dict[str, list[Listed]] = {}
    for print_id, cell in zip(export.frame[export.layout.identity], export.frame[column], strict=True):
        verdict = judge(cell, _RULE, workspace.book)
        if verdict.outcome == "withheld":
            continue  # the quarantine shows it; what was listed before stays
        names, addresses = verdict.value or ((), ())
        pictures[print_id] = [
            _listed(print_id, position, name, address)
            for position, (name, address) in enumerate(zip(names, addresses, strict=True), 1)
        ]
    return pictures


def _listed(print_id: str, position: int, name: str, address: str) -> Listed:
    """`live.py` writes the base's id of the attachment as the fragment of its address, which no request carries."""
    url, fragment = urldefrag(address)
    return Listed(print_id, position, name, fragment if fragment.startswith("att") else None, url)


def register(workspace: Workspace) -> int:
    """Bring art.attachments up to the newest export of prints; returns how many pictures it names.

    A picture whose last try failed is tried again once an export gives it another address. Of a print that the export
    no longer names, pictures that are kept stay listed, and those that never arrived are forgotten.

    Raises:
        BadInput: the file of the newest export is gone or damaged.
    """
    found = newest(workspace)
    if found is None:
        return 0
    export, sha256 = found
    pictures = listed_in(export, workspace)
    with workspace.engine.begin() as connection:
        lock_assets(connection, [ATTACHMENTS])
        if pictures is not None:
            _write(connection, pictures, sha256)
            _forget(connection, [str(one) for one in export.frame[export.layout.identity]])
        return int(connection.execute(text("select count(*) from art.attachments")).scalar_one())


def _write(connection: Connection, pictures: Mapping[str, Sequence[Listed]], sha256: str) -> None:
    before = connection.execute(text("select * from art.attachments order by position")).mappings().all()
    known: dict[tuple[str, str], list[tuple[str, str | None]]] = {}
    for row in before:
        known.setdefault((row["print_id"], row["file_name"]), []).append(
            (row["item_key"], row["attachment_id"])
        )
    by_key: dict[str, dict[str, Any]] = {}  # a picture that a cell names twice is one, at its first place
    for listed in pictures.values():
        for key, attachment_id, one in _keyed(listed, known):
            by_key.setdefault(
                key,
                {
                    **asdict(one),
                    "item_key": key,
                    "attachment_id": attachment_id,
                    "host": one.host,
                    "listed_in": sha256,
                },
            )
    keys, rows = list(by_key), list(by_key.values())
    connection.execute(
        text("delete from art.attachments where print_id = any(:prints) and item_key <> all(:keys)"),
        {"prints": list(pictures), "keys": keys},
    )
    if rows:
        connection.execute(text(_WRITE), rows)
    addresses = {row["item_key"]: row["url"] for row in before}
    moved = {key for key, row in zip(keys, rows, strict=True) if addresses.get(key, row["url"]) != row["url"]}
    for key in moved.intersection(planning.failing(connection, ATTACHMENTS)):
        planning.retry(connection, ATTACHMENTS, key)


def _forget(connection: Connection, prints: Sequence[str]) -> None:
    """Forget pictures that never arrived, of prints that are gone: no export gives them an address any more."""
    connection.execute(
        text(
            "delete from art.attachments a where print_id <> all(cast(:prints as text[])) and not exists"
            " (select from ledger.items i where i.asset = :asset and i.key = a.item_key and i.output_id is not null)"
        ),
        {"prints": list(prints), "asset": ATTACHMENTS},
    )


def _keyed(
    listed: Sequence[Listed], known: Mapping[tuple[str, str], Sequence[tuple[str, str | None]]]
) -> Iterator[tuple[str, str | None, Listed]]:
    """Keys of a print's pictures: by the base's id, else as the picture of this name was known, else a digest of it.

    No key holds the name itself, which may be a person's: the ledger's keys cannot be erased.
    """
    seen: Counter[str] = Counter()
    for one in listed:
        before = known.get((one.print_id, one.file_name), ())[seen[one.file_name] : seen[one.file_name] + 1]
        digest = hashlib.sha256(f"{one.file_name}\n{seen[one.file_name]}".encode()).hexdigest()[:16]
        seen[one.file_name] += 1
        if one.attachment_id is not None:
            yield f"{one.print_id}/{one.attachment_id}", one.attachment_id, one
        elif before:
            yield *before[0], one
        else:
            yield f"{one.print_id}/{digest}", None, one


def addresses(connection: Connection) -> dict[str, str]:
    """Where each picture can be read, by item key."""
    return dict(connection.execute(text("select item_key, url from art.attachments")).tuples().all())


def shown(engine: Engine, pattern: str = "*") -> list[dict[str, Any]]:
    """The pictures with their states, of the works or prints that match a shell pattern; no addresses."""
    with engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(text(_SHOWN), {"asset": ATTACHMENTS}).mappings()]
    wanted = pattern.casefold()
    return [
        row
        for row in rows
        if any(
            fnmatch.fnmatchcase(str(row[name]).casefold(), wanted) for name in ("work", "print_id", "picture")
        )
    ]


def retry(engine: Engine, keys: Sequence[str]) -> int:
    """Make pictures that failed due again; returns how many.

    Raises:
        BadInput: none of them failed.
    """
    with engine.begin() as connection:
        lock_assets(connection, [ATTACHMENTS])
        failing = set(planning.failing(connection, ATTACHMENTS)).intersection(keys)
        if not failing:
            raise BadInput("None of these pictures failed; `crown art pictures` shows their states.")
        return sum(planning.retry(connection, ATTACHMENTS, key) for key in sorted(failing))
