select
    s.gallery_id,
    s.gallery,
    count(*) as sales,
    sum(s.net) as due,
    coalesce(sum(s.net) filter (where s.days_since_sale <= 30), 0) as due_0_30_days,
    coalesce(sum(s.net) filter (where s.days_since_sale between 31 and 60), 0) as due_31_60_days,
    coalesce(sum(s.net) filter (where s.days_since_sale between 61 and 90), 0) as due_61_90_days,
    coalesce(sum(s.net) filter (where s.days_since_sale between 91 and 180), 0) as due_91_180_days,
    coalesce(sum(s.net) filter (where s.days_since_sale > 180), 0) as due_over_180_days,
    coalesce(sum(s.net) filter (where s.date_sold is null), 0) as due_undated,
    min(s.date_sold) as oldest_sale
from intermediate.art_sales as s
where s.is_due
group by s.gallery_id, s.gallery
