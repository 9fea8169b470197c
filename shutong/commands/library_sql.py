"""Command that prints the newest merge of a library as SQL, for an engine that the site runs already."""

from __future__ import annotations

import click

from shutong.session import Session, command
from shutong.wiring import open_deployment


@click.command(
    "sql", help="以 SQL 写出最近一次合并，供 Spark 等引擎执行 | the newest merge as SQL, for Spark and others"
)
@click.argument("library")
@click.option("--dialect", type=click.Choice(["spark", "duckdb"]), default="spark", show_default=True)
@click.option(
    "--catalog", default="lake", show_default=True, help="引擎中表目录的名称 | what the engine calls the catalog"
)
@command
def sql_command(session: Session, library: str, dialect: str, catalog: str) -> None:
    """Print the queries that make the library as its newest merge did: records, rows led to a key, counts."""
    from warehouse import portable, portable_spark
    from warehouse.library_job import Job
    from warehouse.library_state import newest
    from warehouse.publish import NotMergedError
    from warehouse.said import rules_of

    with open_deployment(session.settings) as wired:
        made = newest(wired.state, library)
        if made is None:
            raise NotMergedError(library)
        job = Job(library, *rules_of(made), made.inputs, made.words, made.at)
        asked = portable.texts(job, [wired.tables.columns(one.table) for one in job.contributions])
    places = {
        portable.INPUT.format(number): f"{catalog}.{one.table} VERSION AS OF {job.inputs[one.table]}"
        for number, one in enumerate(job.contributions)
    }
    said = {"records": asked.records, "links": asked.links, "compared": asked.compared}
    if dialect == "spark":
        said = {name: portable_spark.spark(query, places) for name, query in said.items()}
    if session.voice.as_json:
        session.voice.answer({"library": library, "dialect": dialect, "inputs": places, "queries": said})
        return
    for name, query in said.items():
        click.echo(f"-- {name}\n{query};\n")
