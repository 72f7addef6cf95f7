select
    e.gallery_id,
    e.gallery,
    e.print_id,
    e.artwork,
    count(*) as allocated,
    count(*) filter (where e.is_sold) as sold,
    count(*) filter (where not e.is_sold) as in_stock,
    round(100.0 * count(*) filter (where e.is_sold) / count(*), 1) as conversion_percent,
    coalesce(sum(e.price) filter (where e.is_sold), 0) as gross
from intermediate.art_counted_editions as e
where e.was_printed and e.gallery_id is not null
group by e.gallery_id, e.gallery, e.print_id, e.artwork
