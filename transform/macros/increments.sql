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
    {{ return(none if flags.FULL_REFRESH else visitor_sessions.built(name)) }}
{%- endmacro -%}

{#- A table of this package as it is now, without a dependency on it; none where it is not. -#}
{%- macro built(name) -%}
    {%- if execute -%}
        {%- for node in graph.nodes.values() -%}
            {%- if node.package_name == 'visitor_sessions' and node.name == name -%}
                {{ return(visitor_sessions.find(node.database, node.schema, node.alias)) }}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro -%}

{#- The nodes of the models that increments add to. -#}
{%- macro increments() -%}
    {%- set found = [] -%}
    {%- for node in graph.nodes.values() -%}
        {%- if node.package_name == 'visitor_sessions' and node.resource_type == 'model'
            and node.config.materialized == 'incremental' and node.config.enabled -%}
            {%- do found.append(node) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro -%}

{#- Before a model: a table that is built anew is of no build until it is there (a build may be killed);
    one that is added to has to be of the same build and rules as the others. -#}
{%- macro begin_build() -%}
    {%- if execute and flags.INTROSPECT and model.config.materialized == 'incremental'
        and model.name != 'int_visitor_sessions__builds' -%}
        {%- set builds = visitor_sessions.built('int_visitor_sessions__builds') -%}
        {%- if not builds -%}
            {%- if load_relation(this) -%}
                {{ exceptions.raise_compiler_error(
                    "There is no table int_visitor_sessions__builds: build the whole package, once, with"
                    ~ " `dbt build --select package:visitor_sessions`"
                ) }}
            {%- endif -%}
        {%- elif not visitor_sessions.adds() -%}
            delete from {{ builds }}
            where model_name = '{{ model.name }}'
        {%- elif model.name != 'int_visitor_sessions__affected' -%}
            {%- do visitor_sessions.check_builds(builds, [model.name]) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro -%}

{#- After a model: a table that was built anew is of this full refresh; one that was lacking, of the
    build of the others. -#}
{%- macro end_build() -%}
    {%- if execute and flags.INTROSPECT and model.config.materialized == 'incremental'
        and model.name != 'int_visitor_sessions__builds' -%}
        {%- set builds = visitor_sessions.built('int_visitor_sessions__builds') -%}
        {%- if builds -%}
            insert into {{ builds }} (model_name, build_id, rules)
            select
                '{{ model.name }}',
                {% if should_full_refresh() -%}
                '{{ invocation_id }}',
                {%- else -%}
                coalesce(max(builds.build_id), '{{ invocation_id }}'),
                {%- endif %}
                '{{ visitor_sessions.rules() }}'
            from {{ builds }} as builds
            having coalesce(max(case when builds.model_name = '{{ model.name }}' then 1 end), 0) = 0
        {%- endif -%}
    {%- endif -%}
{%- endmacro -%}

{#- Tables of several full builds, or of other rules, cannot be added to: what the others took in is
    forgotten. `names` have to be there, and with `whole` no others. -#}
{%- macro check_builds(builds, names, whole=false) -%}
    {%- set lines = ["select cast(null as " ~ dbt.type_string() ~ ") as model_name"] -%}
    {%- for name in names -%}{%- do lines.append("select '" ~ name ~ "' as model_name") -%}{%- endfor -%}
    {%- set found = run_query(
        "select 1 as one from " ~ builds ~ " as builds where builds.rules <> '" ~ visitor_sessions.rules()
        ~ "' or builds.build_id <> (select max(others.build_id) from " ~ builds ~ " as others)"
        ~ (" or builds.model_name not in ('" ~ names | join("', '") ~ "')" if whole else "")
        ~ " union all select 1 as one from (" ~ lines | join(" union all ") ~ ") as wanted"
        ~ " left join " ~ builds ~ " as builds on wanted.model_name = builds.model_name"
        ~ " where wanted.model_name is not null and builds.model_name is null"
    ) -%}
    {%- if found | length > 0 -%}
        {{ exceptions.raise_compiler_error(
            "The tables of visitor_sessions are not all of one full build with the present vars:"
            ~ visitor_sessions.build_anew()
        ) }}
    {%- endif -%}
{%- endmacro -%}

{#- The same for all tables that are there. -#}
{%- macro check_all_builds() -%}
    {%- set builds = visitor_sessions.built('int_visitor_sessions__builds') -%}
    {%- if builds and not should_full_refresh() -%}
        {%- set names = [] -%}
        {%- for node in visitor_sessions.increments() if node.name != 'int_visitor_sessions__builds' -%}
            {%- if visitor_sessions.find(node.database, node.schema, node.alias) -%}
                {%- do names.append(node.name) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- do visitor_sessions.check_builds(builds, names, whole=true) -%}
    {%- endif -%}
{%- endmacro -%}

{#- What to do about tables that cannot be added to. -#}
{%- macro build_anew() -%}
    {{ return(" build them anew, once, with `dbt build --select package:visitor_sessions --full-refresh`") }}
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
        {%- for node in visitor_sessions.increments() -%}
            {%- if node.unique_id not in made -%}{%- set state.whole = false -%}{%- endif -%}
            {%- if node.name == 'int_visitor_sessions__affected' -%}
                {%- set state.relation = node.relation_name -%}
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
    {%- for node in visitor_sessions.increments() -%}
        {%- set table = visitor_sessions.find(node.database, node.schema, node.alias) -%}
        {%- if table and visitor_sessions.columns_of(table) | sort != node.columns | map('lower') | sort -%}
            {%- set state.same = false -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if not state.same -%}
        {{ exceptions.raise_compiler_error(
            "The tables of visitor_sessions were built under other vars or by another version of the"
            ~ " package:" ~ visitor_sessions.build_anew()
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
