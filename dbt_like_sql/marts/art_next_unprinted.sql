with numbers as (
    select e.print_id, e.artwork, e.edition_number, min(e.edition_id) as edition_id
    from intermediate.art_counted_editions as e
    where e.edition_number <= coalesce(e.total_editions, e.edition_number)
    group by e.print_id, e.artwork, e.edition_number
    having not bool_or(e.was_printed)
),

ranked as (
    select n.*, row_number() over (partition by n.print_id order by n.edition_number) as place
    from numbers as n
)

select
    r.print_id,
    r.artwork,
    r.place,
    r.edition_number,
    r.edition_id
from ranked as r
where r.place <= 10
