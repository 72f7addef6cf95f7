select
    e.airtable_id as edition_id,
    e.print_id,
    e.distributor_id as gallery_id,
    e.edition_number,
    e.edition_display_name as edition,
    e.kind,
    e.size,
    e.frame_type,
    e.is_printed,
    e.is_sold,
    e.is_settled,
    e.is_stock_checked,
    e.to_check_in_detail,
    e.status_confidence,
    e.retail_price,
    e.commission_percentage,
    e.invoice_amount,
    e.commission_amount,
    e.date_sold,
    e.date_in_gallery,
    e.is_double_linked
from art.editions as e
where e.is_active and e.kind <> 'blank'
