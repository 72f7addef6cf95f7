select
    p.airtable_id as print_id,
    p.name as artwork,
    p.short_name,
    p.total_editions,
    p.is_active
from art.prints as p
