select
    d.airtable_id as gallery_id,
    d.name as gallery,
    d.kind,
    d.commission_percentage,
    d.is_active
from art.distributors as d
