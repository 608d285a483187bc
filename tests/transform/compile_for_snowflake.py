"""Compiles the package for Snowflake without Snowflake: what it asks the database of its columns is
answered as target-snowflake's table would.

`python compile_for_snowflake.py PROJECT full|increment`, in dbt's environment. The compiled SQL is
in PROJECT/target/compiled.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import agate
import yaml
from dbt.adapters.base.relation import BaseRelation
from dbt.adapters.contracts.connection import AdapterResponse
from dbt.adapters.snowflake import SnowflakeColumn
from dbt.adapters.snowflake.impl import SnowflakeAdapter
from dbt.cli.main import dbtRunner

LOADED = {
    **dict.fromkeys(("ID", "DURATION", "CAMPAIGN_ID", "SITE_ID"), "NUMBER(38,0)"),
    **dict.fromkeys(("PERSON_ID", "VISITOR_ID", "HITS_COUNT", "CUSTOMER_ID"), "NUMBER(38,0)"),
    **dict.fromkeys(("DATE_TIME", "_SDC_BATCHED_AT", "READ_AT"), "TIMESTAMP_NTZ(9)"),
    **dict.fromkeys(("INTEGRATED_CAMPAIGN_DATA", "HITS", "COMMUNICATIONS"), "VARIANT"),
    **dict.fromkeys(("SEGMENTS", "VISITOR_CUSTOM_PROPERTIES"), "VARIANT"),
    **dict.fromkeys(("ACCOUNT", "CHANNEL", "CAMPAIGN_NAME", "ENTRANCE_PAGE"), "VARCHAR(16777216)"),
    **dict.fromkeys(("EXIT_PAGE", "GCLID", "YCLID", "YM_CLIENT_ID"), "VARCHAR(16777216)"),
}


def main(folder: str, what: str) -> None:
    """Compile.

    Raises:
        SystemExit: it cannot be compiled.
    """

    pages = Path(folder, "models").rglob("*.yml")
    documented = {
        model["name"]: [column["name"] for column in model["columns"]]
        for page in pages
        for model in yaml.safe_load(page.read_text(encoding="utf-8")).get("models", ())
    }

    def columns(self: Any, relation: BaseRelation) -> list[SnowflakeColumn]:
        if relation.identifier == "visitor_sessions":
            return [SnowflakeColumn(name, kind) for name, kind in LOADED.items()]
        # Built already, by this version.
        names = documented.get(relation.identifier, ())
        return [SnowflakeColumn(name.upper(), "VARCHAR(16777216)") for name in names]

    def relation(self: Any, database: str, schema: str, identifier: str) -> Any:
        if what == "full":
            return None
        path = {"database": database, "schema": schema, "identifier": identifier}
        return self.Relation.create(**path, type="table")

    def execute(self: Any, sql: str, *_: Any, **__: Any) -> Any:
        return AdapterResponse("OK"), agate.Table([])

    SnowflakeAdapter.get_columns_in_relation = columns
    SnowflakeAdapter.get_relation = relation
    SnowflakeAdapter.execute = execute
    where = ["--project-dir", folder, "--profiles-dir", folder, "--no-populate-cache"]
    result = dbtRunner().invoke(["compile", *where])
    if not result.success:
        raise SystemExit(str(result.exception or "it cannot be compiled"))


if __name__ == "__main__":
    main(*sys.argv[1:])
