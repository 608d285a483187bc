{#- The loaded table: which columns it has, and of what types. -#}

{#- Columns of the loaded sessions -> types. An error where there is no such table. -#}
{%- macro loaded_columns() -%}
    {%- set relation = source('visitor_sessions', 'sessions') -%}
    {%- if execute and not flags.INTROSPECT -%}
        {#- Compiled without a database: as Meltano's loaders make the columns. -#}
        {%- set nested = {'postgres': 'jsonb', 'duckdb': 'json'}.get(target.type, 'variant') -%}
        {%- set declared = {'date_time': 'timestamp'} -%}
        {%- for name in ['hits', 'communications', 'segments', 'visitor_custom_properties', 'integrated_campaign_data'] -%}
            {%- do declared.update({name: nested}) -%}
        {%- endfor -%}
        {%- for name in ['id', 'duration', 'hits_count', 'campaign_id', 'site_id', 'visitor_id', 'person_id'] -%}
            {%- do declared.update({name: 'number'}) -%}
        {%- endfor -%}
        {%- for name in ['channel', 'campaign_name', 'entrance_page', 'exit_page', 'gclid', 'yclid', 'ym_client_id'] -%}
            {%- do declared.update({name: 'varchar'}) -%}
        {%- endfor -%}
        {{ return(declared) }}
    {%- endif -%}
    {%- set found = visitor_sessions.columns_of(relation) -%}
    {%- if execute and 'date_time' not in found -%}
        {{ exceptions.raise_compiler_error(
            "There is no table " ~ relation ~ " with a column date_time: set the vars"
            ~ " visitor_sessions_schema and visitor_sessions_table to where the loader puts it"
        ) }}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro -%}

{#- A column as text, null where it lacks; an empty text is null, as some loaders have it. -#}
{%- macro loaded_text(columns, name) -%}
    {%- if name in columns -%}
        nullif(cast(loaded.{{ name }} as {{ dbt.type_string() }}), '')
    {%- else -%}
        cast(null as {{ dbt.type_string() }})
    {%- endif -%}
{%- endmacro -%}

{#- A column as a whole number, null where it lacks or is a hash. -#}
{%- macro loaded_number(columns, name) -%}
    {%- if name in columns -%}
        {{ visitor_sessions.whole_number('loaded.' ~ name, columns[name]) }}
    {%- else -%}
        cast(null as bigint)
    {%- endif -%}
{%- endmacro -%}

{#- A column as a timestamp in UTC, null where it lacks. -#}
{%- macro loaded_time(columns, name) -%}
    {%- if name in columns -%}
        {{ visitor_sessions.utc('loaded.' ~ name, columns[name]) }}
    {%- else -%}
        cast(null as timestamp)
    {%- endif -%}
{%- endmacro -%}

{#- A member of integrated_campaign_data, from its object or from a flattened column. -#}
{%- macro loaded_campaign(columns, name) -%}
    {%- set flat = 'integrated_campaign_data__' ~ name -%}
    {%- if flat in columns -%}
        {{ visitor_sessions.loaded_text(columns, flat) }}
    {%- elif 'integrated_campaign_data' in columns -%}
        nullif({{ visitor_sessions.member('loaded.integrated_campaign_data', name, columns['integrated_campaign_data']) }}, '')
    {%- else -%}
        cast(null as {{ dbt.type_string() }})
    {%- endif -%}
{%- endmacro -%}

{#- Columns that tell when a row was loaded, the tap's own first. -#}
{%- macro stamps(columns) -%}
    {%- set own = {
        'meltano': ['_sdc_batched_at', '_sdc_received_at'],
        'dlt': ['_dlt_load_id'],
        'airbyte': ['_airbyte_extracted_at'],
    } -%}
    {%- set loader = visitor_sessions.setting('loader') -%}
    {%- set names = ['read_at'] -%}
    {%- for name, columns_of_loader in own.items() -%}
        {%- if loader in ('auto', name) -%}{%- do names.extend(columns_of_loader) -%}{%- endif -%}
    {%- endfor -%}
    {{ return(names | select('in', columns) | list) }}
{%- endmacro -%}

{#- A text that changes when the session is loaded again; null where nothing tells. -#}
{%- macro loaded_stamp(columns) -%}
    {%- set parts = [] -%}
    {%- for name in visitor_sessions.stamps(columns) -%}
        {%- do parts.append(visitor_sessions.stamp('loaded.' ~ name, columns[name])) -%}
    {%- endfor -%}
    {%- if parts -%}
        coalesce({{ parts | join(', ') }}, null)
    {%- else -%}
        cast(null as {{ dbt.type_string() }})
    {%- endif -%}
{%- endmacro -%}

{#- The loaded rows: as they are, or the latest of each session where the loader appends. -#}
{%- macro loaded_rows(columns) -%}
    {%- set relation = source('visitor_sessions', 'sessions') -%}
    {%- if not visitor_sessions.setting('appended') -%}
        {{ relation }}
    {%- else -%}
        {%- set order = visitor_sessions.stamps(columns) -%}
        {%- if execute and not order -%}
            {{ exceptions.raise_compiler_error(
                "visitor_sessions_appended needs a column that tells which row is the latest:"
                ~ " select read_at in the tap"
            ) }}
        {%- endif -%}
        {%- set of = ['account', 'customer_id', 'id'] | select('in', columns) | join(', ') -%}
        (
            select *
            from (
                select
                    all_rows.*,
                    row_number() over (
                        partition by {{ of or 'id' }}
                        order by
                            {%- for name in order %}
                            case when {{ name }} is null then 1 else 0 end, {{ name }} desc
                            {%- if not loop.last %},{% endif %}
                            {%- endfor %}
                    ) as row_of_session
                from {{ relation }} as all_rows
            ) as numbered
            where row_of_session = 1
        )
    {%- endif -%}
{%- endmacro -%}

{#- Members of a nested column as rows: from the column, or from dlt's child table of it. `only` is a
    relation with the session_id of those that are wanted: filtered before anything is taken apart. -#}
{%- macro loaded_items(column, names, only=none) -%}
    {%- set columns = visitor_sessions.loaded_columns() -%}
    {%- set loaded = source('visitor_sessions', 'sessions') -%}
    {%- set keys = ['id', 'account', 'customer_id'] | select('in', columns) | list or ['id'] -%}
    {%- set child = none -%}
    {%- if column not in columns -%}
        {%- set child = visitor_sessions.find(loaded.database, loaded.schema, loaded.identifier ~ '__' ~ column) -%}
    {%- endif -%}
    {%- set rows = visitor_sessions.loaded_rows(columns) -%}
    {%- if only and column in columns -%}
        {%- set rows -%}
            (
                select {{ keys | join(', ') }}, {{ column }}
                from {{ visitor_sessions.loaded_rows(columns) }} as wanted
                where wanted.id in (select chosen.session_id from {{ only }} as chosen)
            )
        {%- endset -%}
    {%- endif -%}
    {%- if column in columns -%}
        {{ visitor_sessions.unnested(rows, keys, column, columns[column], names) }}
    {%- elif child -%}
        {%- set has = visitor_sessions.columns_of(child) -%}
        select
            loaded.session_id as id,
            {%- if 'customer_id' in has %}
            loaded.customer_id,
            {%- endif %}
            {%- for name in names %}
            {{ visitor_sessions.loaded_text(has, name) }} as {{ name }},
            {%- endfor %}
            cast(count(*) over (
                partition by loaded.session_id{% if 'customer_id' in has %}, loaded.customer_id{% endif %}
            ) as integer) as items,
            cast(loaded.position + 1 as integer) as position
        from {{ child }} as loaded
        {%- if only %}
        where loaded.session_id in (select chosen.session_id from {{ only }} as chosen)
        {%- endif %}
        {%- set keys = ['id', 'customer_id'] %}
    {%- else -%}
        {#- Deselected: no row. -#}
        select
            {%- for key in keys %}
            loaded.{{ key }},
            {%- endfor %}
            {%- for name in names %}
            cast(null as {{ dbt.type_string() }}) as {{ name }},
            {%- endfor %}
            cast(null as integer) as items,
            cast(null as integer) as position
        from {{ loaded }} as loaded
        where 1 = 0
    {%- endif -%}
{%- endmacro -%}

{#- The session that an item belongs to: account, customer_id, session_id. -#}
{%- macro item_owner() -%}
    {%- set columns = visitor_sessions.loaded_columns() -%}
    {%- if 'account' in columns -%}
        nullif(cast(items.account as {{ dbt.type_string() }}), '') as account,
    {%- else -%}
        cast(null as {{ dbt.type_string() }}) as account,
    {%- endif %}
    {% if 'customer_id' in columns -%}
        {{ visitor_sessions.whole_number('items.customer_id', columns['customer_id']) }} as customer_id,
    {%- else -%}
        cast(null as bigint) as customer_id,
    {%- endif %}
    cast(items.id as bigint) as session_id
{%- endmacro -%}

{#- Pages seen, of all sessions or of some: what stg_visitor_sessions__hits is. -#}
{%- macro hits(only=none) -%}
    select
        {{ visitor_sessions.item_owner() }},
        items.position,
        items.items as hits,
        items.hit_time,
        {{ visitor_sessions.seconds_of('items.hit_duration') }} as seconds,
        items.hit_url as url
    from (
        {{ visitor_sessions.loaded_items('hits', ['hit_time', 'hit_duration', 'hit_url'], only) }}
    ) as items
{%- endmacro -%}

{#- Communications, of all sessions or of some: what stg_visitor_sessions__communications is. -#}
{%- macro communications(only=none) -%}
    select
        {{ visitor_sessions.item_owner() }},
        items.position,
        items.communication_type,
        items.communication_id,
        {{ visitor_sessions.utc('items.communication_date_time') }} as communicated_at,
        items.ext_id
    from (
        {{ visitor_sessions.loaded_items(
            'communications',
            ['communication_type', 'communication_id', 'communication_date_time', 'ext_id'],
            only,
        ) }}
    ) as items
{%- endmacro -%}
