{#- Increments are by person: `affected` holds whose rows have to be made anew. -#}

{#- Before an increment: the rows of affected persons go, also those that come no more. -#}
{%- macro forget_persons() -%}
    {%- if visitor_sessions.adds() -%}
        delete from {{ this }}
        where person_key in (select person_key from {{ ref('int_visitor_sessions__affected') }})
    {%- endif -%}
{%- endmacro -%}

{#- The condition by which an increment takes the affected persons alone. -#}
{%- macro only_affected(relation) -%}
    {#- Outside of the condition: dbt has to know of the dependency when it parses. -#}
    {%- set affected = ref('int_visitor_sessions__affected') -%}
    {%- if visitor_sessions.adds() -%}
        {{ relation }}.person_key in (select affected.person_key from {{ affected }} as affected)
    {%- else -%}
        1 = 1
    {%- endif -%}
{%- endmacro -%}

{#- A table of this package as the last build left it, without a dependency on it; none before. -#}
{%- macro former(name) -%}
    {%- if execute and not flags.FULL_REFRESH -%}
        {%- for node in graph.nodes.values() -%}
            {%- if node.package_name == 'visitor_sessions' and node.name == name -%}
                {{ return(visitor_sessions.find(node.database, node.schema, node.alias)) }}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro -%}

{#- After a run: once every increment has taken the affected persons in, they are forgotten.
    Where one failed or was not selected they stay, and the next run takes them again. -#}
{%- macro forget_affected(results) -%}
    {%- if execute -%}
        {%- set made = [] -%}
        {%- for result in results if result.status | string in ('success', 'RunStatus.Success') -%}
            {%- do made.append(result.node.unique_id) -%}
        {%- endfor -%}
        {%- set state = namespace(relation=none, whole=true) -%}
        {%- for node in graph.nodes.values() -%}
            {%- if node.package_name == 'visitor_sessions' and node.resource_type == 'model'
                and node.config.materialized == 'incremental' and node.config.enabled -%}
                {%- if node.unique_id not in made -%}{%- set state.whole = false -%}{%- endif -%}
                {%- if node.name == 'int_visitor_sessions__affected' -%}
                    {%- set state.relation = node.relation_name -%}
                {%- endif -%}
            {%- endif -%}
        {%- endfor -%}
        {%- if state.relation and state.whole -%}
            delete from {{ state.relation }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro -%}

{#- Tables that were built under other vars, or by another version, cannot be added to. -#}
{%- macro check_rules(relation) -%}
    {%- set state = namespace(same='rules' in visitor_sessions.columns_of(relation)) -%}
    {%- if state.same -%}
        {%- set found = run_query(
            "select distinct rules from " ~ relation ~ " where rules <> '" ~ visitor_sessions.rules() ~ "' limit 1"
        ) -%}
        {%- set state.same = found | length == 0 -%}
    {%- endif -%}
    {%- for node in graph.nodes.values() -%}
        {%- if node.package_name == 'visitor_sessions' and node.resource_type == 'model'
            and node.config.materialized == 'incremental' and node.config.enabled -%}
            {%- set table = visitor_sessions.find(node.database, node.schema, node.alias) -%}
            {%- if table and visitor_sessions.columns_of(table) | sort != node.columns | map('lower') | sort -%}
                {%- set state.same = false -%}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if not state.same -%}
        {{ exceptions.raise_compiler_error(
            "The tables of visitor_sessions were built under other vars or by another version of the"
            ~ " package: build them anew, once, with `dbt build --select package:visitor_sessions --full-refresh`"
        ) }}
    {%- endif -%}
{%- endmacro -%}

{#- The items of staging, in an increment of affected sessions alone: `hits` or `communications`. -#}
{%- macro items_to_take(name) -%}
    {#- Outside of the condition: dbt has to know of the dependencies when it parses. -#}
    {%- set all = ref('stg_visitor_sessions__' ~ name) -%}
    {%- set only = ref('int_visitor_sessions__affected_sessions') -%}
    {%- if visitor_sessions.adds() -%}
        ({{ visitor_sessions[name](only) }})
    {%- else -%}
        {{ all }}
    {%- endif -%}
{%- endmacro -%}

{#- The condition by which an increment takes the sessions of affected persons alone. -#}
{%- macro only_affected_sessions(relation) -%}
    {%- set only = ref('int_visitor_sessions__affected_sessions') -%}
    {%- if visitor_sessions.adds() -%}
        {{ relation }}.session_id in (select affected.session_id from {{ only }} as affected)
    {%- else -%}
        1 = 1
    {%- endif -%}
{%- endmacro -%}

{#- Whether rows are added to a table that is there; never where dbt does not look. -#}
{%- macro adds() -%}
    {{ return(flags.INTROSPECT and is_incremental()) }}
{%- endmacro -%}
