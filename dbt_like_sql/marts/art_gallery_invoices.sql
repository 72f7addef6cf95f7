select
    case when s.month is not null then 'INV-' || s.gallery_id || '-' || to_char(s.month, 'YYYYMM') end as invoice,
    s.gallery_id,
    s.gallery,
    s.month,
    count(*) as sales,
    count(*) filter (where s.price_is_unknown) as sales_without_price,
    sum(s.gross) as gross,
    sum(s.commission) as commission,
    sum(s.net) as net,
    coalesce(sum(s.net) filter (where s.is_settled), 0) as paid,
    coalesce(sum(s.net) filter (where not s.is_settled), 0) as due,
    count(*) filter (where s.is_due) as due_sales
from intermediate.art_sales as s
where s.gallery_id is not null
group by s.gallery_id, s.gallery, s.month
