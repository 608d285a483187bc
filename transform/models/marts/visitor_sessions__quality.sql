{{ config(enabled=visitor_sessions.wanted('quality')) }}

{%- set loaded = source('visitor_sessions', 'sessions') -%}
{%- set ledger = none -%}
{%- if execute -%}
    {%- set ledger = visitor_sessions.find(loaded.database, loaded.schema, 'visitor_session_days') -%}
{%- endif -%}
{%- set has = visitor_sessions.columns_of(ledger) if ledger else {} -%}
{%- set text = dbt.type_string() -%}

{%- set checks = [
    ('sessions_not_conserved', 'error', 'Sessions that are loaded and not in __sessions, or there and no more loaded', "
        select count(*) as rows_found
        from " ~ ref('stg_visitor_sessions__sessions') ~ " as loaded
        full outer join " ~ ref('visitor_sessions__sessions') ~ " as sessions
            on
                loaded.session_id = sessions.session_id
                and " ~ visitor_sessions.same_account('loaded', 'sessions') ~ "
        where loaded.session_id is null or sessions.session_id is null
    "),
    ('conversions_without_credit', 'error', 'Conversions, but spam, whose credits are not 1 in each model', "
        select count(*) as rows_found
        from (
            select conversions.conversion_key
            from " ~ ref('visitor_sessions__conversions') ~ " as conversions
            left join " ~ ref('visitor_sessions__attribution') ~ " as attribution
                on conversions.conversion_key = attribution.conversion_key
            where not conversions.is_spam
            group by conversions.conversion_key
            having
                abs(coalesce(sum(attribution.credit), 0) - 6) > 0.000001
                or count(distinct attribution.model) <> 6
        ) as wrong
    "),
    ('persons_of_many_visitors', 'warning', 'Persons with more than 50 visitors: a test account, or a wrong match', "
        select count(*) as rows_found
        from (
            select persons.person_key
            from " ~ ref('int_visitor_sessions__persons') ~ " as persons
            group by persons.person_key
            having count(*) > 50
        ) as many
    "),
    ('sessions_without_visitor', 'warning', 'Sessions without visitor_id: each is a person of its own unless person_id is known', "
        select count(*) as rows_found from " ~ ref('visitor_sessions__sessions') ~ " as sessions
        where sessions.visitor_id is null
    "),
    ('sessions_in_the_future', 'warning', 'Sessions that begin later than now', "
        select count(*) as rows_found from " ~ ref('visitor_sessions__sessions') ~ " as sessions
        where sessions.started_at > " ~ visitor_sessions.utc_now() ~ "
    "),
    ('conversions_in_the_future', 'warning', 'Conversions later than now: not in the offline conversions', "
        select count(*) as rows_found from " ~ ref('visitor_sessions__conversions') ~ " as conversions
        where conversions.converted_at > " ~ visitor_sessions.utc_now() ~ "
    "),
    ('conversions_before_their_session', 'information', 'Conversions stamped before their own session began', "
        select count(*) as rows_found
        from " ~ ref('int_visitor_sessions__touches') ~ " as touches
        where touches.is_own and touches.started_at > touches.converted_at
    "),
    ('communications_in_two_sessions', 'information', 'Communications that stand in more than one session: they belong to the latest', "
        select count(*) as rows_found
        from (
            select communications.communication_key
            from " ~ ref('int_visitor_sessions__communications') ~ " as communications
            group by communications.communication_key
            having count(distinct communications.session_key) > 1
        ) as twice
    "),
    ('communications_of_other_types', 'information', 'Communications of a type that visitor_sessions_conversion_types has not: no conversions', "
        select count(*) as rows_found
        from " ~ ref('int_visitor_sessions__communications') ~ " as communications
        where
            communications.is_owned
            and coalesce(communications.communication_type not in ("
                ~ visitor_sessions.texts(visitor_sessions.setting('conversion_types')) ~ "), true)
    "),
    ('sessions_of_unknown_channel', 'information', 'Sessions without a channel', "
        select count(*) as rows_found from " ~ ref('visitor_sessions__sessions') ~ " as sessions
        where sessions.channel = '(unknown)'
    "),
    ('channels_that_are_hashes', 'error', 'Sessions whose channel is a hash: none is direct or internal, so touches and paths are wrong', "
        select count(*) as rows_found from " ~ ref('visitor_sessions__sessions') ~ " as sessions
        where " ~ visitor_sessions.unhashed('sessions.channel') ~ " is null
    "),
    ('accounts_without_zone', 'information', 'Accounts and customers whose zone neither a relation nor the ledger tells: visitor_sessions_timezone holds', "
        select count(*) as rows_found from " ~ ref('int_visitor_sessions__zones') ~ " as zones
        where not zones.is_known
    "),
    ('zones_without_a_place', 'error', 'Accounts and customers whose zone is an offset: databases read its sign either way, so name a place', "
        select count(*) as rows_found from " ~ ref('int_visitor_sessions__zones') ~ " as zones
        where
            zones.timezone not like '%/%'
            and (zones.timezone like '%+%' or zones.timezone like '%-%' or zones.timezone like '%:%')
    "),
] -%}

{%- if visitor_sessions.setting('values_relation') -%}
    {%- do checks.append(('values_of_no_conversion', 'warning', 'Rows of values_relation that match no conversion', "
        select count(*) as rows_found
        from (" ~ visitor_sessions.values_select() ~ ") as handed_in
        left join " ~ ref('visitor_sessions__conversions') ~ " as conversions
            on " ~ visitor_sessions.values_match('conversions', 'handed_in') ~ "
        where conversions.conversion_key is null
    ")) -%}
    {%- do checks.append(('values_of_many_conversions', 'warning', 'Rows of values_relation that match more than one conversion, and count in each: name their type or account', "
        select count(*) as rows_found
        from (
            select 1 as one
            from (" ~ visitor_sessions.values_select() ~ ") as handed_in
            inner join " ~ ref('visitor_sessions__conversions') ~ " as conversions
                on " ~ visitor_sessions.values_match('conversions', 'handed_in') ~ "
            group by
                handed_in.communication_id,
                handed_in.communication_type,
                handed_in.account,
                handed_in.customer_id
            having count(*) > 1
        ) as many
    ")) -%}
    {%- do checks.append(('values_that_contradict', 'error', 'Communications of which values_relation has rows that differ: the greatest value counts, none of two currencies, and true before false', "
        select count(*) as rows_found
        from (" ~ visitor_sessions.values_select() ~ ") as handed_in
        where handed_in.is_contradictory
    ")) -%}
{%- endif -%}

{%- if visitor_sessions.setting('spend_relation') and visitor_sessions.wanted('daily_campaigns') -%}
    {%- set spend = visitor_sessions.handed_in('spend_relation') -%}
    {%- do checks.append(('spend_without_sessions', 'warning', 'Days of a campaign with spend and without a session: do the names of campaigns match?', "
        select count(*) as rows_found from " ~ ref('visitor_sessions__daily_campaigns') ~ " as campaigns
        where campaigns.sessions = 0 and campaigns.spend > 0
    ")) -%}
    {%- set told = visitor_sessions.columns_of(spend) -%}
    {%- set whose -%}
        {{ visitor_sessions.handed_in_key('spend', 'account', told) }} as account,
        {{ visitor_sessions.handed_in_key('spend', 'customer_id', told) }} as customer_id
    {%- endset -%}
    {%- do checks.append(('spend_of_many_accounts', 'warning', 'Campaigns whose spend names no account or customer, while several have them: in rows of its own, without a cost', "
        select count(*) as rows_found
        from (
            select 1 as one
            from (
                select distinct " ~ visitor_sessions.spend_campaign('spend') ~ " as campaign, " ~ whose ~ "
                from " ~ spend ~ " as spend
            ) as spend
            inner join (
                select distinct campaigns.account, campaigns.customer_id, campaigns.campaign
                from " ~ ref('visitor_sessions__daily_campaigns') ~ " as campaigns
                where campaigns.sessions > 0
            ) as campaigns
                on
                    spend.campaign = campaigns.campaign
                    and " ~ visitor_sessions.handed_in_matches('spend', 'campaigns', ['account', 'customer_id']) ~ "
            group by spend.account, spend.customer_id, spend.campaign
            having count(*) > 1
        ) as many
    ")) -%}
    {%- do checks.append(('spend_in_two_currencies', 'error', 'Days of a campaign with spend in more than one currency: left null', "
        select count(*) as rows_found from " ~ ref('visitor_sessions__daily_campaigns') ~ " as campaigns
        where campaigns.currencies > 1
    ")) -%}
    {%- do checks.append(('spend_that_repeats', 'warning', 'Rows of spend that are there more than once, alike in everything: each is added', "
        select count(*) as rows_found
        from (
            select 1 as one
            from (
                select
                    spend.date,
                    spend.spend,
                    " ~ visitor_sessions.spend_campaign('spend') ~ " as campaign,
                    " ~ ("cast(spend.currency as " ~ text ~ ")" if 'currency' in told else "cast(null as " ~ text ~ ")") ~ " as currency,
                    " ~ whose ~ "
                from " ~ spend ~ " as spend
            ) as spend
            group by spend.account, spend.customer_id, spend.date, spend.campaign, spend.currency, spend.spend
            having count(*) > 1
        ) as twice
    ")) -%}
{%- endif -%}

{%- if ledger and 'sessions' in has -%}
    {%- do checks.append(('days_that_differ_from_the_ledger', 'error', 'Days of which the ledger counts other sessions than are loaded', "
        select count(*) as rows_found
        from (
            select
                " ~ ("ledger.account" if 'account' in has else "cast(null as " ~ text ~ ")") ~ " as account,
                " ~ ("ledger.customer_id" if 'customer_id' in has else "cast(null as bigint)") ~ " as customer_id,
                cast(ledger.date as date) as date,
                max(ledger.sessions) as sessions
            from " ~ ledger ~ " as ledger
            group by 1, 2, 3
        ) as ledger
        left join (
            select
                sessions.account,
                sessions.customer_id,
                sessions.started_on,
                count(*) as sessions
            from " ~ ref('visitor_sessions__sessions') ~ " as sessions
            group by sessions.account, sessions.customer_id, sessions.started_on
        ) as counted
            on
                ledger.date = counted.started_on
                and coalesce(ledger.account, '') = coalesce(counted.account, '')
                and coalesce(ledger.customer_id, -1) = coalesce(counted.customer_id, -1)
        where ledger.sessions <> coalesce(counted.sessions, 0)
    ")) -%}
{%- endif -%}

{%- for name, severity, meaning, query in checks %}
select
    cast('{{ name }}' as {{ text }}) as check_name,
    cast('{{ severity }}' as {{ text }}) as severity,
    cast(({{ query }}) as bigint) as rows_found,
    cast('{{ meaning }}' as {{ text }}) as meaning
{%- if not loop.last %}
union all
{%- endif %}
{%- endfor %}
