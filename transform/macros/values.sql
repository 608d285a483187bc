{#- Values of conversions, as `visitor_sessions_values_relation` hands them in: one row a communication. -#}
{%- macro values_select() -%}
    {%- if not visitor_sessions.setting('values_relation') -%}
        {{ return('') }}
    {%- endif -%}
    {%- set relation = visitor_sessions.handed_in('values_relation') -%}
    {%- set has = visitor_sessions.columns_of(relation) -%}
    {%- if execute and 'communication_id' not in has -%}
        {{ exceptions.raise_compiler_error(
            "visitor_sessions_values_relation: " ~ relation ~ " has no column communication_id"
        ) }}
    {%- endif -%}
    {%- set text = dbt.type_string() -%}
    {%- set rows -%}
        select
            cast(handed.communication_id as {{ text }}) as communication_id,
            {%- for name in ['communication_type', 'account'] %}
            {% if name in has %}max(cast(handed.{{ name }} as {{ text }})){% else %}cast(null as {{ text }}){% endif %} as {{ name }},
            {%- endfor %}
            {% if 'customer_id' in has %}max(handed.customer_id){% else %}cast(null as bigint){% endif %} as customer_id,
            {% if 'value' in has %}max(cast(handed.value as float8)){% else %}cast(null as float8){% endif %} as value,
            {% if 'currency' in has %}max(cast(handed.currency as {{ text }})){% else %}cast(null as {{ text }}){% endif %} as currency,
            {%- for name in ['qualified', 'spam'] %}
            {% if name in has %}max(case when handed.{{ name }} then 1 else 0 end) = 1{% else %}false{% endif %} as is_{{ name }}
            {%- if not loop.last %},{% endif %}
            {%- endfor %}
        from {{ relation }} as handed
        group by
            cast(handed.communication_id as {{ text }})
            {%- for name in ['communication_type', 'account', 'customer_id'] if name in has %}, handed.{{ name }}{% endfor %}
    {%- endset -%}
    {{ return(rows) }}
{%- endmacro -%}

{#- Which conversion a value is of. A column that the relation lacks does not matter. -#}
{%- macro values_match(conversions, handed_in) -%}
    {%- set has = visitor_sessions.columns_of(visitor_sessions.handed_in('values_relation')) -%}
    {{ conversions }}.communication_id = {{ handed_in }}.communication_id
    {%- if 'communication_type' in has %}
    and {{ conversions }}.communication_type = {{ handed_in }}.communication_type
    {%- endif %}
    {%- if 'account' in has %}
    and coalesce({{ conversions }}.account, '') = coalesce({{ handed_in }}.account, '')
    {%- endif %}
    {%- if 'customer_id' in has %}
    and coalesce({{ conversions }}.customer_id, -1) = coalesce({{ handed_in }}.customer_id, -1)
    {%- endif %}
{%- endmacro -%}
