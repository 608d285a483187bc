{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
) }}

{#- Each table that increments add to writes its line when it was built anew (hooks begin_build and
    end_build): lines of several builds tell that what one took in another lacks. -#}

{#- Tables of a version that wrote no lines are taken as of one build. -#}
{%- set lines = [] -%}
{%- if execute and not visitor_sessions.adds() and not should_full_refresh() -%}
    {%- set sessions = visitor_sessions.built('visitor_sessions__sessions') -%}
    {%- set rules = "'" ~ visitor_sessions.rules() ~ "'" -%}
    {%- if sessions and 'rules' in visitor_sessions.columns_of(sessions) -%}
        {%- set rules = "coalesce((select max(sessions.rules) from " ~ sessions ~ " as sessions), " ~ rules ~ ")" -%}
    {%- endif -%}
    {%- for node in visitor_sessions.increments() -%}
        {%- if visitor_sessions.find(node.database, node.schema, node.alias) -%}
            {%- do lines.append((node.name, rules)) -%}
        {%- endif -%}
    {%- endfor -%}
{%- endif -%}
{%- set text = dbt.type_string() -%}

{%- for name, rules in lines %}
select
    cast('{{ name }}' as {{ text }}) as model_name,
    cast('{{ invocation_id }}' as {{ text }}) as build_id,
    cast({{ rules }} as {{ text }}) as rules
{%- if not loop.last %}
union all
{%- endif %}
{%- else %}
select
    cast(null as {{ text }}) as model_name,
    cast(null as {{ text }}) as build_id,
    cast(null as {{ text }}) as rules
where 1 = 0
{%- endfor %}
