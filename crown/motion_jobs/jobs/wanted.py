"""What each asset of motion jobs wants: one SELECT each over the assets before it. How items are made is tasks.py.

A person's decision counts on exactly the bytes that were seen; one that sends a job back counts until the matches are
approved again.
"""

from __future__ import annotations

from crown.motion_jobs.workspace import (
    APPROVED,
    INGESTED,
    MATCHES,
    PREVIEWS,
    SOURCES,
    VALIDATED,
)

#: Verdicts after which a preview goes on to validation.
APPROVALS = ("approve", "approve_with_warnings")

_ORDER = "array_position(array['low', 'medium', 'high'], j.priority) as priority, j.batch_id as batch"

BATCHES_WANTED = """
    select batch_id as key, cast(:recipe as text) as recipe, cast('{}' as bigint[]) as inputs,
           array[content_hash] as input_hashes, cast(null as text) as waiting_for, cast(null as bigint) as decision_id
    from motion.batch_records
"""
SOURCES_WANTED = """
    select path as key, cast(:recipe as text) as recipe, cast('{}' as bigint[]) as inputs,
           array[coalesce(content_hash, '')] as input_hashes,
           case when content_hash is null then 'the file' end as waiting_for, cast(null as bigint) as decision_id
    from motion.source_files
"""
INGESTED_WANTED = f"""
    with named as (
        select job_id, 0 as place, psd_path as path, '' as named from motion.job_records
        union all select job_id, 1, aepx_path, '' from motion.job_records
        union all select j.job_id, 2, f.path, f.named
        from motion.job_records j join motion.footage f using (aepx_path)
    ), given as (
        select n.job_id, array_agg(m.output_id order by n.place, n.path, n.named)
                   filter (where m.output_id is not null) as inputs,
               array_agg(m.content_hash order by n.place, n.path, n.named)
                   filter (where m.output_id is not null) as hashes,
               count(*) filter (where n.place < 2 and m.output_id is not null) as both,
               string_agg(n.named || '=' || coalesce(m.content_hash, ''), '|' order by n.place, n.named) as footage
        from named n
        left join ledger.items i on i.asset = '{SOURCES}' and i.key = n.path and i.state = 'current'
        left join ledger.outputs m using (output_id)
        group by n.job_id
    )
    select j.job_id as key, cast(:recipe as text) as recipe,
           case when g.both = 2 then g.inputs else '{{}}' end as inputs,
           coalesce(g.hashes, '{{}}') || encode(sha256(convert_to(
               coalesce(g.footage, '') || '|' || cast(j.extra as text), 'utf8')), 'hex') as input_hashes,
           case when j.queued_at is null then 'its start' when g.both < 2 then '{SOURCES}' end as waiting_for,
           case when j.queued_at is null then 'plan' else 'upstream' end as waiting_kind,
           cast(null as bigint) as decision_id, {_ORDER}
    from motion.job_records j join given g using (job_id)
"""
MATCHES_WANTED = f"""
    select j.job_id as key, cast(:recipe as text) as recipe, array_remove(array[i.output_id], null) as inputs,
           array[coalesce(i.content_hash, '')] as input_hashes,
           case when i.output_id is null then '{INGESTED}' end as waiting_for, cast('upstream' as text) as waiting_kind,
           cast(null as bigint) as decision_id, {_ORDER}
    from motion.job_records j left join motion.made i on i.asset = '{INGESTED}' and i.job_id = j.job_id
"""
# What a person sent back counts until the matches are approved anew.
APPROVED_WANTED = f"""
    select j.job_id as key, cast(:recipe as text) as recipe, array_remove(array[m.output_id], null) as inputs,
           array[coalesce(m.content_hash, ''), encode(sha256(convert_to(coalesce(cast(v.payload as text), ''), 'utf8')),
                 'hex')] as input_hashes,
           case when m.output_id is null then '{MATCHES}'
                when v.decision_id is null then 'review of the matches'
                when b.decision_id is not null then 'review of the matches (sent back)' end as waiting_for,
           case when m.output_id is null then 'upstream' else 'gate' end as waiting_kind,
           v.decision_id, {_ORDER}
    from motion.job_records j
    left join motion.made m on m.asset = '{MATCHES}' and m.job_id = j.job_id
    left join ledger.verdicts v on v.stage = '{MATCHES}' and v.subject = j.job_id and v.content_hash = m.content_hash
                               and v.verdict = 'approve'
    left join lateral (
        select max(s.decision_id) as decision_id from ledger.verdicts s
        where s.stage in ('{PREVIEWS}', '{VALIDATED}') and s.subject = j.job_id and s.verdict in ('reject', 'return')
          and s.decision_id > v.decision_id) b on true
"""
PREVIEWS_WANTED = f"""
    select j.job_id as key, cast(:recipe as text) as recipe,
           array_remove(array[a.output_id, m.output_id, i.output_id], null) as inputs,
           array[coalesce(a.content_hash, ''), coalesce(m.content_hash, ''), coalesce(i.content_hash, '')]
               as input_hashes,
           case when a.output_id is null or m.output_id is null or i.output_id is null then '{APPROVED}' end
               as waiting_for,
           cast('upstream' as text) as waiting_kind, cast(null as bigint) as decision_id, {_ORDER}
    from motion.job_records j
    left join motion.made a on a.asset = '{APPROVED}' and a.job_id = j.job_id
    left join motion.made m on m.asset = '{MATCHES}' and m.job_id = j.job_id
    left join motion.made i on i.asset = '{INGESTED}' and i.job_id = j.job_id
"""
VALIDATED_WANTED = f"""
    select j.job_id as key, cast(:recipe as text) as recipe,
           array_remove(array[a.output_id, m.output_id, i.output_id], null) as inputs,
           array[coalesce(a.content_hash, ''), coalesce(m.content_hash, ''), coalesce(i.content_hash, ''), j.output_name]
               as input_hashes,
           case when p.output_id is null or a.output_id is null or m.output_id is null or i.output_id is null
                     then '{PREVIEWS}'
                when v.decision_id is null then 'approval' end as waiting_for,
           case when p.output_id is null or a.output_id is null or m.output_id is null or i.output_id is null
                     then 'upstream' else 'gate' end as waiting_kind,
           v.decision_id, {_ORDER}
    from motion.job_records j
    left join motion.made p on p.asset = '{PREVIEWS}' and p.job_id = j.job_id
    left join motion.made a on a.asset = '{APPROVED}' and a.job_id = j.job_id
    left join motion.made m on m.asset = '{MATCHES}' and m.job_id = j.job_id
    left join motion.made i on i.asset = '{INGESTED}' and i.job_id = j.job_id
    left join ledger.verdicts v on v.stage = '{PREVIEWS}' and v.subject = j.job_id and v.content_hash = p.content_hash
                               and v.verdict = any(:approvals)
"""
DEPLOYMENTS_WANTED = f"""
    select j.job_id as key, cast(:recipe as text) as recipe,
           array_remove(array[l.output_id, a.output_id, i.output_id, p.output_id], null) as inputs,
           array[coalesce(l.content_hash, ''), coalesce(a.content_hash, ''), coalesce(i.content_hash, ''),
                 coalesce(p.content_hash, ''), j.output_name, j.batch_id] as input_hashes,
           case when l.output_id is null or a.output_id is null or i.output_id is null or p.output_id is null
                     then '{VALIDATED}'
                when cast(l.facts ->> 'critical' as integer) > 0 and v.decision_id is null then 'override' end
               as waiting_for,
           case when l.output_id is null or a.output_id is null or i.output_id is null or p.output_id is null
                     then 'upstream' else 'gate' end as waiting_kind,
           v.decision_id, {_ORDER}
    from motion.job_records j
    left join motion.made l on l.asset = '{VALIDATED}' and l.job_id = j.job_id
    left join motion.made a on a.asset = '{APPROVED}' and a.job_id = j.job_id
    left join motion.made i on i.asset = '{INGESTED}' and i.job_id = j.job_id
    left join motion.made p on p.asset = '{PREVIEWS}' and p.job_id = j.job_id
    left join ledger.verdicts v on v.stage = '{VALIDATED}' and v.subject = j.job_id and v.content_hash = l.content_hash
                               and v.verdict = 'override'
"""
