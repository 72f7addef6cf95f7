"""Rehearsals of cut-out models, and which model people chose for which photos."""

from alembic import op

revision = "0012_rehearsals"
down_revision = "0011_publishing"
branch_labels = None
depends_on = None

_UP = """
-- A model tried in the shadow on chosen photos. Nothing of the ledger refers to it; ended_at is null while it runs,
-- and for good when it was killed.
create table product_images.rehearsals (
    rehearsal_id bigint generated always as identity primary key,
    model text not null,
    recipe text not null,
    body jsonb not null,
    chosen text not null,
    photos text[] not null,
    who text not null,
    began_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    sheet text
);
create index rehearsals_recipe on product_images.rehearsals (recipe);

-- What came out for one photo: bytes in objects/, and how they differ from the cut-out of that day (before_*; null
-- when there was none), or why nothing came out.
create table product_images.rehearsal_results (
    rehearsal_id bigint not null references product_images.rehearsals on delete cascade,
    photo text not null,
    photo_hash text,
    before_hash text,
    before_facts jsonb,
    after_hash text,
    size_bytes bigint,
    seconds real,
    facts jsonb,
    iou double precision,
    changed_share double precision,
    alpha_difference double precision,
    difference double precision,
    score_before integer,
    score_after integer,
    error_class text,
    error text,
    made_at timestamptz not null default clock_timestamp(),
    primary key (rehearsal_id, photo),
    check ((after_hash is null) = (error is not null))
);
create index rehearsal_results_photo on product_images.rehearsal_results (photo, photo_hash);

-- Which model cuts out a photo, or all photos (photo is null): append-only, each with the decision it is. Model null
-- takes back what was chosen before.
create table product_images.model_choices (
    choice_id bigint generated always as identity primary key,
    photo text,
    model text,
    recipe text references ledger.recipes,
    rehearsal_id bigint references product_images.rehearsals,
    most_difference double precision,
    decision_id bigint not null references ledger.decisions,
    check ((model is null) = (recipe is null)),
    check (rehearsal_id is null or photo is null)
);
create index model_choices_newest on product_images.model_choices (photo, choice_id desc);
create view product_images.models_in_force as
    select c.*, d.who, d.via, d.reason, d.decided_at
    from (select distinct on (photo) * from product_images.model_choices order by photo, choice_id desc) c
    join ledger.decisions d using (decision_id)
    where c.model is not null;
"""


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    op.execute(
        "drop view product_images.models_in_force;"
        " drop table product_images.model_choices, product_images.rehearsal_results, product_images.rehearsals"
    )
