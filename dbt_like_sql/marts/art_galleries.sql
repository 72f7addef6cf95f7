with copies as (
    select
        gallery_id,
        count(*) as allocated,
        count(*) filter (where not is_sold) as in_stock,
        coalesce(sum(price) filter (where not is_sold), 0) as stock_value,
        count(distinct print_id) as artworks
    from intermediate.art_counted_editions
    where was_printed and gallery_id is not null
    group by gallery_id
),

sales as (
    select
        gallery_id,
        count(*) as sold,
        sum(gross) as gross,
        sum(net) as net,
        count(*) filter (where is_due) as due_sales,
        coalesce(sum(net) filter (where is_due), 0) as due,
        count(*) filter (where in_last_30_days) as sold_30_days,
        count(*) filter (where in_last_12_months) as sold_12_months,
        round(avg(days_to_sell))::integer as average_days_to_sell,
        count(*) filter (where in_last_month) as month_sold,
        coalesce(sum(net) filter (where in_last_month), 0) as month_net,
        coalesce(sum(net) filter (where in_last_12_months), 0) as net_12_months,
        count(*) filter (where in_year_to_date) as year_to_date_sold,
        coalesce(sum(net) filter (where in_year_to_date), 0) as year_to_date_net,
        count(*) filter (where in_previous_year_to_date) as previous_year_to_date_sold,
        coalesce(sum(net) filter (where in_previous_year_to_date), 0) as previous_year_to_date_net,
        max(date_sold) as last_sale
    from intermediate.art_sales
    where gallery_id is not null
    group by gallery_id
),

by_year as (
    select y.gallery_id, jsonb_object_agg(y.year, y.sold) as sold_by_year
    from (
        select gallery_id, year, count(*) as sold
        from intermediate.art_sales
        where year is not null and gallery_id is not null
        group by gallery_id, year
    ) as y
    group by y.gallery_id
)

select
    g.gallery_id,
    g.gallery,
    g.kind,
    g.commission_percentage,
    coalesce(c.artworks, 0) as artworks,
    coalesce(c.allocated, 0) as allocated,
    coalesce(s.sold, 0) as sold,
    round(100.0 * s.sold / nullif(c.allocated, 0), 1) as conversion_percent,
    coalesce(c.in_stock, 0) as in_stock,
    coalesce(c.stock_value, 0) as stock_value,
    coalesce(s.gross, 0) as gross,
    coalesce(s.net, 0) as net,
    coalesce(s.due_sales, 0) as due_sales,
    coalesce(s.due, 0) as due,
    coalesce(s.sold_30_days, 0) as sold_30_days,
    coalesce(s.sold_12_months, 0) as sold_12_months,
    s.average_days_to_sell,
    y.sold_by_year,
    coalesce(s.month_sold, 0) as month_sold,
    coalesce(s.month_net, 0) as month_net,
    coalesce(s.net_12_months, 0) as net_12_months,
    coalesce(s.year_to_date_sold, 0) as year_to_date_sold,
    coalesce(s.year_to_date_net, 0) as year_to_date_net,
    coalesce(s.previous_year_to_date_sold, 0) as previous_year_to_date_sold,
    coalesce(s.previous_year_to_date_net, 0) as previous_year_to_date_net,
    s.last_sale
from staging.art_distributors as g
left join copies as c on c.gallery_id = g.gallery_id
left join sales as s on s.gallery_id = g.gallery_id
left join by_year as y on y.gallery_id = g.gallery_id
where g.is_active or c.allocated > 0
