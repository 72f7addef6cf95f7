with months as (
    select m.month::date as month
    from (select min(month) as first_month from intermediate.art_sales) as f
    cross join staging.art_clock as c
    cross join lateral generate_series(f.first_month, c.as_of, interval '1 month') as m (month)
),

sold as (
    select
        m.month,
        count(s.edition_id) as sold,
        coalesce(sum(s.gross), 0) as gross,
        coalesce(sum(s.net), 0) as net
    from months as m
    left join intermediate.art_sales as s on s.month = m.month
    group by m.month
)

select
    s.month,
    s.sold,
    s.gross,
    s.net,
    sum(s.sold) over so_far as sold_to_date,
    p.editions,
    round(100.0 * sum(s.sold) over so_far / nullif(p.editions, 0), 1) as sell_through_percent
from sold as s
cross join marts.art_portfolio as p
window so_far as (order by s.month)
