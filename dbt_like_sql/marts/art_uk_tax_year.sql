with levels as (
    select
        case
            when grouping(tax_quarter) = 0 then 'quarter'
            when grouping(month) = 0 then 'month'
            when grouping(gallery_id) = 0 then 'channel'
            else 'year'
        end as level,
        tax_year_start,
        tax_quarter,
        month,
        gallery_id,
        gallery,
        count(*) as sales,
        count(*) filter (where price_is_unknown) as sales_without_price,
        sum(gross) as gross,
        sum(commission) as commission,
        sum(net) as net,
        coalesce(sum(net) filter (where is_settled), 0) as settled_net,
        coalesce(sum(net) filter (where not is_settled), 0) as unsettled_net,
        count(*) filter (where not is_settled) as unsettled_sales
    from intermediate.art_sales
    group by grouping sets (
        (tax_year_start),
        (tax_year_start, tax_quarter),
        (tax_year_start, month),
        (tax_year_start, gallery_id, gallery)
    )
)

select
    t.level,
    case
        when t.tax_year_start is null then 'undated'
        else t.tax_year_start || '-' || lpad(((t.tax_year_start + 1) % 100)::text, 2, '0')
    end as tax_year,
    make_date(t.tax_year_start, 4, 6) as starts_on,
    make_date(t.tax_year_start + 1, 4, 5) as ends_on,
    t.tax_quarter,
    t.month,
    t.gallery_id,
    t.gallery,
    t.sales,
    t.sales_without_price,
    t.gross,
    t.commission,
    t.net,
    t.settled_net,
    t.unsettled_net,
    t.unsettled_sales,
    p.sales as previous_sales,
    p.gross as previous_gross,
    p.net as previous_net
from levels as t
left join levels as p
    on t.level = 'year' and p.level = 'year' and p.tax_year_start = t.tax_year_start - 1
