{{ config(enabled=visitor_sessions.setting('custom_properties')) }}

with items as (
    {{ visitor_sessions.loaded_items(
        'visitor_custom_properties', ['property_name', 'property_value']
    ) }}
)

select
    {{ visitor_sessions.item_owner() }},
    items.position,
    items.property_name,
    items.property_value
from items
