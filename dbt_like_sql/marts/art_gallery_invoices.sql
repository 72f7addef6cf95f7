select
    s.gallery_id,
    s.gallery,
    s.month,
    string_agg(distinct s.invoice, ', ' order by s.invoice) as invoices,
    count(*) as sales,
    count(*) filter (where s.invoice is null) as sales_not_invoiced,
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
