"""The command that proposes a resource file from what a departmental system says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import click

from connectors.registry import KINDS
from runs.proposal import Proposal, as_yaml, propose
from runs.resources import load_resource
from schemas.load import find_standard, known_standards
from schemas.standard import Standard
from schemas.values import Json, Source
from shutong.commands.given import given
from shutong.deployment import Deployment
from shutong.layout import SetupError
from shutong.session import Session, command
from shutong.wiring import open_deployment, today

_SAMPLE = 200  # rows looked at for what names do not say
_PLACES = {"sql": "table", "xlsx": "sheet", "rest": "path", "soap": "operation"}  # which option names the stream


@click.command("new", help="由来源自动拟出资源文件 | propose a resource file from the source")
@click.argument("name", metavar="DEPARTMENT.RESOURCE")
@click.option("--connection", "-c", help="connections.yaml 中的连接名 | a name of connections.yaml")
@click.option("--kind", default="sql", show_default=True, type=click.Choice(KINDS))
@click.option("--stream", "-s", help="表、工作表或路径；不写则列出 | table, sheet or path; left out: list them")
@click.option("--set", "settings_", multiple=True, metavar="KEY=VALUE", help="来源选项 | a source option")
@click.option("--standard", help="例如 legal_person@1；不写则自动选择 | left out: the one that fits best")
@click.option("--write", is_flag=True, help="写入 resources/，否则只显示 | write it, else only show it")
@command
def new_command(  # noqa: PLR0917 - click names them
    session: Session,
    name: str,
    connection: str | None,
    kind: str,
    stream: str | None,
    settings_: tuple[str, ...],
    standard: str | None,
    *,
    write: bool,
) -> None:
    """Look at the source, guess which column feeds which field, and print or write the resource file."""
    voice = session.voice
    with open_deployment(session.settings) as wired:
        department, resource = _split(name, wired.deployment)
        options = given(settings_)
        place = _PLACES.get(kind)
        if stream and place:
            options[place] = stream
        reached = _connection(wired.deployment, connection)
        if kind == "sql" and "table" not in options:
            return _list(session, wired.look(kind, {**options, "table": "?"}, reached), resource)
        with closing(wired.look(kind, options, reached)) as source:
            said, sample = source.stream(), source.preview(_SAMPLE)
        proposal = propose(said, sample, _standards(wired.deployment, standard), today())
        title = said.title or resource
        text = as_yaml(
            proposal,
            name=resource,
            title=(title, resource.replace("_", " ")),
            connection=connection,
            source={"kind": kind, **options},
            cursors=said.cursors,
        )
        path = wired.deployment.home / "resources" / department / f"{resource}.yaml"
        if write:
            _write(path, text, wired.deployment)
    if voice.as_json:
        voice.answer({"path": str(path) if write else None, "standard": proposal.standard.id,
                      "guesses": _rows(proposal), "unused": list(proposal.left), "text": text})  # fmt: skip
        return None
    if not write:
        click.echo(text)
    voice.line(
        f"{'已写入 ' + str(path) if write else '加 --write 写入 ' + str(path)}；下一步 shutong resource check"
        f" {department}.{resource}",
        f"{'wrote ' + str(path) if write else 'add --write to write ' + str(path)}; next: shutong resource check"
        f" {department}.{resource}",
    )
    return None


def _split(name: str, deployment: Deployment) -> tuple[str, str]:
    department, dot, resource = name.partition(".")
    if not dot or not resource:
        raise click.BadParameter("DEPARTMENT.RESOURCE")
    return deployment.department(department).id, resource


def _connection(deployment: Deployment, name: str | None) -> Mapping[str, Json]:
    if name is None:
        return {}
    if name not in deployment.connections:
        known = ", ".join(deployment.connections) or "-"
        raise SetupError(
            "SYS-CONNECTION-UNKNOWN",
            zh=f"连接 {name} 未定义；已有：{known}",
            en=f"there is no connection {name}; there are: {known}",
            fix_zh=f"在 {deployment.home}/connections.yaml 中补上",
            fix_en=f"Add it to {deployment.home}/connections.yaml",
        )
    return deployment.connections[name]


def _standards(deployment: Deployment, wanted: str | None) -> list[Standard]:
    local = deployment.home / "standards"
    if wanted:
        return [find_standard(wanted, (local,))]
    return [find_standard(one, (local,)) for one in known_standards((local,))]


def _list(session: Session, source: Source, resource: str) -> None:
    with closing(source):
        found = source.discover()
    rows = [
        {"stream": one.name, "title": one.title, "columns": len(one.columns), "rows": one.rows, "key": list(one.key)}
        for one in found
    ]
    if session.voice.as_json:
        session.voice.answer({"streams": rows})
        return
    session.voice.table(
        ("来源中有", "The source has"),
        [("表", "stream"), ("说明", "title"), ("列", "columns"), ("约行数", "rows, about"), ("主键", "key")],
        [[r["stream"], r["title"], r["columns"], r["rows"], ", ".join(map(str, one.key))]
         for r, one in zip(rows, found, strict=True)],
    )  # fmt: skip
    session.voice.line(f"选一个：--stream <表>（用于 {resource}）", f"Choose one with --stream (for {resource})")


def _write(path: Path, text: str, deployment: Deployment) -> None:
    if path.exists():
        raise SetupError(
            "SYS-RESOURCE-EXISTS",
            zh=f"{path} 已存在，未覆盖",
            en=f"{path} exists and was left alone",
            fix_zh="换一个资源名，或先移走该文件",
            fix_en="Choose another name, or move the file away first",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.stem}")
    draft.mkdir()
    try:
        trial = draft / path.name
        trial.write_text(text)
        load_resource(trial, (deployment.home / "standards",))  # what is written can be read again
        trial.replace(path)
    finally:
        for left in draft.iterdir():
            left.unlink()
        draft.rmdir()


def _rows(proposal: Proposal) -> list[dict[str, object]]:
    return [
        {"field": one.field.name, "column": one.column, "confidence": one.confidence, "zh": one.zh, "en": one.en,
         "written": one in proposal.guesses}
        for one in (*proposal.guesses, *proposal.doubtful)
    ]  # fmt: skip
