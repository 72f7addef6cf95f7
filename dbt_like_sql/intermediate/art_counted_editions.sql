select
    e.edition_id,
    e.edition,
    e.print_id,
    p.artwork,
    p.total_editions,
    e.edition_number,
    e.gallery_id,
    g.gallery,
    g.kind as gallery_kind,
    e.size,
    e.frame_type,
    coalesce(e.is_printed, false) or coalesce(e.is_sold, false) as was_printed,
    coalesce(e.is_sold, false) as is_sold,
    coalesce(e.is_settled, false) as is_settled,
    coalesce(e.is_stock_checked, false) as is_stock_checked,
    coalesce(e.to_check_in_detail, false) as to_check_in_detail,
    e.retail_price as price,
    coalesce(e.commission_percentage, 0) as commission_percentage,
    e.commission_percentage is null as commission_is_unknown,
    e.invoice_amount,
    e.commission_amount,
    e.date_sold,
    e.date_in_gallery,
    e.is_double_linked
from staging.art_editions as e
left join staging.art_prints as p on p.print_id = e.print_id
left join staging.art_distributors as g on g.gallery_id = e.gallery_id
where e.kind = 'edition'
