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
            handed.communication_id,
            handed.communication_type,
            handed.account,
            handed.customer_id,
            -- Two currencies are not one value: then it is null, and a row of __quality.
            case when count(distinct handed.currency) < 2 then max(handed.value) end as value,
            case when count(distinct handed.currency) < 2 then max(handed.currency) end as currency,
            coalesce(max(handed.is_qualified), 0) = 1 as is_qualified,
            coalesce(max(handed.is_spam), 0) = 1 as is_spam,
            coalesce(
                min(handed.value) <> max(handed.value)
                or count(handed.value) not in (0, count(*))
                or count(distinct handed.currency) > 1
                or coalesce(min(handed.is_qualified) <> max(handed.is_qualified), false)
                or coalesce(min(handed.is_spam) <> max(handed.is_spam), false),
                false
            ) as is_contradictory
        from (
            select
                cast(handed.communication_id as {{ text }}) as communication_id,
                {%- for name in visitor_sessions.values_keys() %}
                {{ visitor_sessions.handed_in_key('handed', name, has) }} as {{ name }},
                {%- endfor %}
                {% if 'value' in has %}cast(handed.value as float8){% else %}cast(null as float8){% endif %} as value,
                {% if 'currency' in has %}nullif(cast(handed.currency as {{ text }}), ''){% else %}cast(null as {{ text }}){% endif %} as currency,
                {%- for name in ['qualified', 'spam'] %}
                {% if name in has %}case when handed.{{ name }} then 1 when not handed.{{ name }} then 0 end{% else %}cast(null as integer){% endif %} as is_{{ name }}
                {%- if not loop.last %},{% endif %}
                {%- endfor %}
            from {{ relation }} as handed
        ) as handed
        group by handed.communication_id, handed.communication_type, handed.account, handed.customer_id
    {%- endset -%}
    {{ return(rows) }}
{%- endmacro -%}

{#- What a row of values may name beside the communication's id. -#}
{%- macro values_keys() -%}
    {{ return(['communication_type', 'account', 'customer_id']) }}
{%- endmacro -%}

{#- Which conversion a value is of. What the value does not name does not matter. -#}
{%- macro values_match(conversions, handed_in) -%}
    {{ conversions }}.communication_id = {{ handed_in }}.communication_id
    and {{ visitor_sessions.handed_in_matches(handed_in, conversions, visitor_sessions.values_keys()) }}
{%- endmacro -%}

{#- The one value of each conversion of a relation: of several the one that names most. -#}
{%- macro values_of(conversions) -%}
    select matched.*
    from (
        select
            conversions.conversion_key,
            handed_in.value,
            handed_in.currency,
            handed_in.is_qualified,
            handed_in.is_spam,
            row_number() over (
                partition by conversions.conversion_key
                order by {{ visitor_sessions.handed_in_order('handed_in', visitor_sessions.values_keys()) }}
            ) as turn
        from {{ conversions }} as conversions
        inner join ({{ visitor_sessions.values_select() }}) as handed_in
            on {{ visitor_sessions.values_match('conversions', 'handed_in') }}
    ) as matched
    where matched.turn = 1
{%- endmacro -%}
