with first_years as (
    select print_id, min(year) as first_year
    from intermediate.art_sales
    where year is not null
    group by print_id
),

years as (
    select f.print_id, y.year
    from first_years as f
    cross join staging.art_clock as c
    cross join lateral generate_series(f.first_year, extract(year from c.as_of)::integer) as y (year)
),

counted as (
    select y.print_id, y.year, count(s.edition_id) as sold
    from years as y
    left join intermediate.art_sales as s on s.print_id = y.print_id and s.year = y.year
    group by y.print_id, y.year
)

select
    a.print_id,
    a.artwork,
    n.year,
    a.editions,
    n.sold,
    sum(n.sold) over so_far as sold_to_date,
    round(100.0 * sum(n.sold) over so_far / nullif(a.editions, 0), 1) as sell_through_percent
from counted as n
inner join marts.art_artworks as a on a.print_id = n.print_id
window so_far as (partition by n.print_id order by n.year)
