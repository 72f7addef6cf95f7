select
    e.gallery_id,
    e.gallery,
    e.print_id,
    e.artwork,
    e.edition_id,
    e.edition,
    e.edition_number,
    e.size,
    e.frame_type,
    e.price,
    e.is_stock_checked,
    e.to_check_in_detail,
    e.date_in_gallery,
    c.as_of - e.date_in_gallery as days_in_gallery,
    coalesce(c.as_of - e.date_in_gallery >= 180, false) as is_stale,
    e.is_double_linked
from intermediate.art_counted_editions as e
cross join staging.art_clock as c
where e.was_printed and not e.is_sold and e.gallery_id is not null
