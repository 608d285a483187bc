{%- set columns = visitor_sessions.loaded_columns() -%}

with

loaded as (
    select *
    from {{ visitor_sessions.loaded_rows(columns) }} as loaded
),

typed as (
    select
        {{ visitor_sessions.loaded_text(columns, 'account') }} as account,
        {{ visitor_sessions.loaded_number(columns, 'customer_id') }} as customer_id,
        cast(loaded.id as bigint) as session_id,
        {{ visitor_sessions.loaded_time(columns, 'date_time') }} as started_at,
        {%- for name in ['visitor_id', 'person_id'] %}
        {{ visitor_sessions.loaded_text(columns, name) }} as {{ name }},
        {%- endfor %}
        {%- for name in ['duration', 'hits_count', 'campaign_id', 'site_id'] %}
        {{ visitor_sessions.loaded_number(columns, name) }} as {{ name }},
        {%- endfor %}
        {%- for name in [
            'channel', 'engine', 'campaign_name', 'site_domain_name', 'entrance_page', 'exit_page',
            'visitor_device', 'visitor_country', 'visitor_city', 'visitor_type',
            'utm_source', 'utm_medium', 'utm_campaign',
            'gclid', 'yclid', 'ym_client_id',
        ] %}
        {{ visitor_sessions.loaded_text(columns, name) }} as {{ name }},
        {%- endfor %}
        {{ visitor_sessions.loaded_campaign(columns, 'ext_campaign_id') }} as ext_campaign_id,
        {{ visitor_sessions.loaded_time(columns, 'read_at') }} as read_at,
        {{ visitor_sessions.loaded_stamp(columns) }} as loaded_stamp
    from loaded
)

select
    {{ visitor_sessions.key(['typed.session_id', 'typed.customer_id', 'typed.account']) }} as session_key,
    typed.*
from typed
