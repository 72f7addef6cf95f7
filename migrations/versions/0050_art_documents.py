"""The day a sale was paid; invoices, statements and certificates with numbers without gaps, and their sending."""

from alembic import op

revision = "0050_art_documents"
down_revision = "0015_rehearsal_bytes"
branch_labels = None
depends_on = None

LOCK = 7_263_210  # everyone who writes art.* holds it
EDITION_FIELDS = (
    "print_id,other_print_ids,distributor_id,edition_number,size,frame_type,variation,is_printed,is_sold,"
    "is_settled,is_stock_checked,to_check_in_detail,retail_price,date_sold,commission_percentage,"
    "date_in_gallery,notes,payment_note,date_settled"
)

_PAID = """
alter table art.edition_versions add column date_settled date;
create or replace view art.edition_history as
    {definition}
"""

_DOCUMENTS = """
-- A document as it was issued: `stated` holds everything that stands on it, the two hashes its files.
-- Numbers of one kind and year follow each other without a gap; nothing is ever changed or removed: a correction
-- is a new document that replaces an old one.
create table art.documents (
    document_id bigint generated always as identity primary key,
    kind text not null check (kind in ('invoice', 'statement', 'certificate')),
    year integer not null,
    number integer not null check (number > 0),
    label text not null unique generated always as (
        case kind when 'invoice' then 'INV' when 'statement' then 'STA' else 'CER' end
        || '-' || year::text || '-' || lpad(number::text, greatest(4, length(number::text)), '0')) stored,
    distributor_id text,
    edition_id text,
    month date check (month = date_trunc('month', month)),
    issued_on date not null check (extract(year from issued_on) = year),
    issued_at timestamptz not null default clock_timestamp(),
    who text not null,
    reason text,
    replaces bigint unique references art.documents,
    stated jsonb not null,
    html_sha256 text not null,
    pdf_sha256 text not null,
    unique (kind, year, number),
    check ((kind = 'certificate') = (edition_id is not null)),
    check ((kind = 'certificate') = (distributor_id is null)),
    check ((kind = 'invoice') = (month is not null))
);

-- That a document went out: when, how, and who says so.
create table art.document_sendings (
    document_id bigint not null references art.documents,
    sent_on date not null,
    how text not null,
    who text not null,
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (document_id, recorded_at)
);

create function art.number_document() returns trigger language plpgsql as $$
declare
    expected integer; newest date;
begin
    perform pg_advisory_xact_lock({lock});
    select coalesce(max(number), 0) + 1, max(issued_on) into expected, newest from art.documents
    where kind = new.kind and year = new.year;
    if new.number is distinct from expected then
        raise exception 'the next % of % has the number %, not %', new.kind, new.year, expected, new.number
            using errcode = 'integrity_constraint_violation';
    end if;
    if new.issued_on < newest then
        raise exception 'a % of % is in the books already; numbers follow the days', new.kind, newest
            using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end $$;
create trigger number_document before insert on art.documents
    for each row execute function art.number_document();

create function art.keep_documents() returns trigger language plpgsql as $$
begin
    raise exception 'art.% only grows: issue a document that replaces the old one', tg_table_name
        using errcode = 'insufficient_privilege';
end $$;
create trigger keep before update or delete or truncate on art.documents
    for each statement execute function art.keep_documents();
create trigger keep before update or delete or truncate on art.document_sendings
    for each statement execute function art.keep_documents();

-- The sales that stand on the invoices in force: those that no other invoice replaces.
create view art.invoiced_sales as
    select l.edition_id, d.document_id, d.label, d.issued_on, l.net
    from art.documents d,
         jsonb_to_recordset(d.stated -> 'lines') as l (edition_id text, net numeric)
    where d.kind = 'invoice' and not exists (select from art.documents r where r.replaces = d.document_id);
"""


def upgrade() -> None:
    bind = op.get_bind()
    definition = bind.exec_driver_sql(
        "select pg_get_viewdef('art.edition_history'::regclass, true)"
    ).scalar_one()
    # A view can only grow at its end; what reads it by `select *` is made again.
    head, tail = definition.rsplit("v.valid_to_sync", 1)
    definition = f"{head}v.valid_to_sync,\n    v.date_settled{tail}"
    op.execute(_PAID.format(definition=definition.replace(":", r"\:")))
    op.execute(
        "create or replace view art.editions as select * from art.edition_history where valid_to_sync is null"
    )
    op.execute("drop trigger by_hand on art.editions")
    op.execute(
        "create trigger by_hand instead of insert or update or delete on art.editions for each row "
        f"execute function art.write_by_hand('edition_versions', '{EDITION_FIELDS}')"
    )
    op.execute(_DOCUMENTS.format(lock=LOCK))


def downgrade() -> None:
    raise NotImplementedError("Documents are kept for ever; restore a backup from before instead.")
