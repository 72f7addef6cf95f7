with artworks as (
    select
        count(*) as artworks,
        sum(editions) as editions,
        sum(printed) as printed,
        sum(left_to_sell) as left_to_sell,
        sum(potential_gross) as potential_gross,
        round(avg(100.0 * sold / nullif(editions, 0)), 1) as average_sell_through_percent,
        count(*) filter (where left_to_sell > 0 and sold * 10 >= editions * 9) as nearly_sold_out,
        count(*) filter (where left_to_sell = 0 and sold > 0) as sold_out
    from marts.art_artworks
),

sales as (
    select
        count(*) as sold,
        coalesce(sum(gross), 0) as gross,
        coalesce(sum(net), 0) as net,
        count(*) filter (where is_due) as due_sales,
        coalesce(sum(net) filter (where is_due), 0) as due,
        count(*) filter (where date_sold is null) as sold_without_date,
        coalesce(sum(gross) filter (where date_sold is null), 0) as gross_without_date,
        count(*) filter (where price_is_unknown) as sold_without_price,
        count(*) filter (where gallery_id is null) as sold_without_gallery,
        count(*) filter (where commission_is_unknown) as sold_without_commission,
        count(*) filter (where in_last_12_months) as rolling_sold,
        coalesce(sum(gross) filter (where in_last_12_months), 0) as rolling_gross,
        coalesce(sum(net) filter (where in_last_12_months), 0) as rolling_net,
        count(*) filter (where in_previous_12_months) as previous_sold,
        coalesce(sum(gross) filter (where in_previous_12_months), 0) as previous_gross,
        coalesce(sum(net) filter (where in_previous_12_months), 0) as previous_net,
        count(*) filter (where in_three_years_before) / 3.0 as average_sold,
        coalesce(sum(gross) filter (where in_three_years_before), 0) / 3 as average_gross,
        coalesce(sum(net) filter (where in_three_years_before), 0) / 3 as average_net,
        count(*) filter (where in_year_to_date) as year_to_date_sold,
        coalesce(sum(net) filter (where in_year_to_date), 0) as year_to_date_net,
        count(*) filter (where in_previous_year_to_date) as previous_year_to_date_sold,
        coalesce(sum(net) filter (where in_previous_year_to_date), 0) as previous_year_to_date_net
    from intermediate.art_sales
),

outside as (
    select
        count(*) filter (where is_sold) as sold_outside,
        coalesce(sum(retail_price) filter (where is_sold), 0) as gross_outside
    from staging.art_editions
    where kind <> 'edition'
)

select
    c.as_of,
    a.artworks,
    coalesce(a.editions, 0) as editions,
    coalesce(a.printed, 0) as printed,
    s.sold,
    coalesce(a.left_to_sell, 0) as left_to_sell,
    round(100.0 * s.sold / nullif(a.editions, 0), 1) as sell_through_percent,
    a.average_sell_through_percent,
    a.nearly_sold_out,
    a.sold_out,
    s.gross,
    s.net,
    coalesce(a.potential_gross, 0) as potential_gross,
    s.due_sales,
    s.due,
    s.rolling_sold,
    s.rolling_gross,
    s.rolling_net,
    s.previous_sold,
    s.previous_gross,
    s.previous_net,
    round(100.0 * (s.rolling_sold - s.previous_sold) / nullif(s.previous_sold, 0), 1) as change_sold_percent,
    round(100 * (s.rolling_gross - s.previous_gross) / nullif(s.previous_gross, 0), 1) as change_gross_percent,
    round(s.average_sold, 1) as three_year_average_sold,
    round(s.average_gross, 2) as three_year_average_gross,
    round(s.average_net, 2) as three_year_average_net,
    round(100 * (s.rolling_sold - s.average_sold) / nullif(s.average_sold, 0), 1) as against_average_sold_percent,
    round(100 * (s.rolling_gross - s.average_gross) / nullif(s.average_gross, 0), 1) as against_average_gross_percent,
    s.year_to_date_sold,
    s.year_to_date_net,
    s.previous_year_to_date_sold,
    s.previous_year_to_date_net,
    s.sold_without_date,
    s.gross_without_date,
    s.sold_without_price,
    s.sold_without_gallery,
    s.sold_without_commission,
    o.sold_outside,
    o.gross_outside
from artworks as a
cross join sales as s
cross join outside as o
cross join staging.art_clock as c
