select
    e.edition_id,
    e.edition,
    p.artwork,
    e.edition_number,
    e.kind,
    g.gallery,
    coalesce(e.size, 'Small') as size,
    e.size is null as size_is_default,
    case when e.frame_type = 'Unknown' then 'Framed' else coalesce(e.frame_type, 'Framed') end as frame_type,
    e.frame_type is null or e.frame_type = 'Unknown' as frame_is_default,
    e.is_printed,
    e.is_sold,
    e.is_settled or (e.is_sold and coalesce(c.as_of - e.date_sold > 180, false)) as is_settled,
    e.is_sold and not e.is_settled and coalesce(c.as_of - e.date_sold > 180, false) as settled_is_default,
    e.retail_price as price,
    e.date_sold,
    e.date_in_gallery,
    e.status_confidence,
    e.is_double_linked
from staging.art_editions as e
left join staging.art_prints as p on p.print_id = e.print_id
left join staging.art_distributors as g on g.gallery_id = e.gallery_id
cross join staging.art_clock as c
