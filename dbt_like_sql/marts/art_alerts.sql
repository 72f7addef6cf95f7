with stale as (
    select e.gallery_id, e.gallery, count(*) as pieces
    from intermediate.art_counted_editions as e
    cross join staging.art_clock as c
    where e.was_printed and not e.is_sold and c.as_of - e.date_in_gallery >= 180
    group by e.gallery_id, e.gallery
),

places as (
    select * from marts.art_galleries where kind is distinct from 'legacy' and kind is distinct from 'placeholder'
)

select
    'sold_out' as alert,
    'info' as severity,
    'artwork' as subject_kind,
    a.print_id as subject_id,
    a.artwork as subject,
    a.sold::numeric as value,
    format('All %s copies are sold.', a.sold) as sentence
from marts.art_artworks as a
where a.left_to_sell = 0 and a.sold > 0 and a.oversold = 0

union all

select
    'oversold',
    'warning',
    'artwork',
    a.print_id,
    a.artwork,
    a.oversold,
    format('%s of %s copies are sold, %s too many: correct the size or the sales.', a.sold, a.editions, a.oversold)
from marts.art_artworks as a
where a.oversold > 0

union all

select
    'nearly_sold_out',
    'warning',
    'artwork',
    a.print_id,
    a.artwork,
    a.left_to_sell,
    format('Only %s of %s copies are left (%s %% sold).', a.left_to_sell, a.editions, a.sell_through_percent)
from marts.art_artworks as a
where a.left_to_sell between 1 and 5 and a.sold * 10 >= a.editions * 9

union all

select
    'high_velocity',
    'info',
    'artwork',
    a.print_id,
    a.artwork,
    a.sold_12_months,
    format('%s sold in the last 12 months, %s are left.', a.sold_12_months, a.left_to_sell)
from marts.art_artworks as a
where a.left_to_sell > 5 and a.sold_12_months * 2 >= a.left_to_sell

union all

select
    'low_stock',
    'warning',
    'gallery',
    g.gallery_id,
    g.gallery,
    g.in_stock,
    format('Only %s in stock, %s sold in the last 12 months.', g.in_stock, g.sold_12_months)
from places as g
where g.in_stock between 1 and 3 and g.sold_12_months > 0

union all

select
    'unsettled',
    'warning',
    'gallery',
    g.gallery_id,
    g.gallery,
    g.due,
    format('%s sales, £%s, wait for payment.', g.due_sales, g.due)
from places as g
where g.due_sales >= 3

union all

select
    'stale',
    'info',
    'gallery',
    g.gallery_id,
    g.gallery,
    s.pieces,
    format('%s copies are there for 180 days or more without a sale.', s.pieces)
from stale as s
inner join places as g on g.gallery_id = s.gallery_id
where s.pieces >= 3
