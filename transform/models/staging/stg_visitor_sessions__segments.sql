{{ config(enabled=visitor_sessions.setting('segments')) }}

with items as (
    {{ visitor_sessions.loaded_items('segments', ['segment_id', 'segment_name']) }}
)

select
    {{ visitor_sessions.item_owner() }},
    items.position,
    items.segment_id,
    items.segment_name
from items
