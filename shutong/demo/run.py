"""`make demo`: departmental systems, the real scheduler, the libraries, the API, and the comparison with the ledger."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from shutong.airflow_service import DagRun
from shutong.commands.deployment import wait_for_stop
from shutong.demo import questions, roster, show, systems
from shutong.demo.ledger import Ledger, compare
from shutong.demo.observe import observe
from shutong.deployment import DeploymentSecrets
from shutong.index import IndexEntry, read_index
from shutong.layout import init
from shutong.printing import Voice
from shutong.running import Running, running
from shutong.settings import Settings, Storage
from shutong.supervisor import Program, free_port, python
from shutong.wiring import Wired, open_deployment
from warehouse.merge import base_table

EXAMPLE, TAX_PORT = "zhejiang", 8131
SETTLE_SECONDS, STEADY_SECONDS = 420.0, 3.0


def run(settings: Settings, voice: Voice, *, once: bool, firms: int, persons: int) -> int:
    """Run the demo in `<home>/demo`; with `once` compare every figure with the ledger and return 0 or 1."""
    began = time.monotonic()
    home = settings.home / "demo"
    settings = replace(settings, home=home, state_url=f"sqlite:///{home}/state/state.db", storage=Storage())
    _lay_out(home)
    voice.progress(f"部署目录 {home}", f"deployment in {home}")
    tax = _tax_program(settings)
    ledger = systems.generate(home, firms=firms, persons=persons)
    rows, defects = sum(one.pulled for one in ledger.resources.values()), len(ledger.defects)
    voice.progress(
        f"生成部门系统：{rows:,} 条记录，其中注入缺陷 {defects:,} 条",
        f"generated the departments' systems: {rows:,} records, {defects:,} with known defects",
    )
    with running(settings, voice, (tax,)) as now, open_deployment(settings) as wired:
        runs = _let_it_run(voice, now, wired)
        outcome = _look(now, wired, ledger, runs)
        if voice.as_json:
            voice.answer(outcome.as_dict() | {"airflow": now.airflow.url, "api": now.api_url})
        else:
            _tell(voice, now, wired, outcome, time.monotonic() - began)
        if not once:
            voice.line("Ctrl-C 停止", "Ctrl-C stops")
            wait_for_stop(now.look_after)
    return 1 if outcome.wrong else 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the demo saw, and every difference from the ledger (`wrong`, nothing when all agrees)."""

    runs: list[DagRun]
    observed: dict[str, object]
    replies: list[questions.Reply]
    used: dict[str, list[dict[str, Any]]]
    wrong: list[str]

    def as_dict(self) -> dict[str, object]:
        """The outcome as JSON-ready data."""
        answers = [{**asdict(one.question), "answered": one.status, "body": one.body} for one in self.replies]
        runs = [asdict(one) for one in self.runs]
        return {"agrees": not self.wrong, "differences": self.wrong, "runs": runs, **self.observed,
                "answers": answers, "usage": self.used}  # fmt: skip


def _lay_out(home: Path) -> None:
    """A fresh deployment: what an earlier demo left goes, anything else is left alone."""
    if (home / ".example").exists():
        shutil.rmtree(home)
    init(home, EXAMPLE)


def _tax_program(settings: Settings) -> Program:
    """The tax bureau's service as a program, its port written into connections.yaml when the usual one is taken."""
    port = free_port(TAX_PORT)
    path = settings.home / "connections.yaml"
    path.write_text(path.read_text().replace(f":{TAX_PORT}", f":{port}"))
    token = settings.home / "systems" / "tax.token"
    token.parent.mkdir(parents=True, exist_ok=True)
    token.touch(mode=0o600)
    token.write_text(DeploymentSecrets(settings).get("tax_token"))
    data = settings.home / "systems" / "swj" / "taxpayers.json"
    arguments = ("--port", str(port), "--data", str(data), "--token-file", str(token))
    return Program("tax-service", python("-m", "shutong.demo.rest_service", *arguments))


def _let_it_run(voice: Voice, now: Running, wired: Wired) -> list[DagRun]:
    """Wait until the scheduler has run every ingest by its schedule and merged every library on asset events."""
    entries = read_index(wired.deployment.home)
    wanted = {f"ingest__{one.department}__{one.name}" for one in entries}
    told: set[DagRun] = set()
    steady_since: list[float] = []

    def settled() -> bool:
        runs = now.client.runs()
        for one in sorted((one for one in runs if one.state in ("success", "failed")), key=lambda one: one.run):
            if one not in told:
                told.add(one)
                voice.progress(f"{one.dag}：{one.kind} {one.state}", f"{one.dag}: {one.kind} {one.state}")
                if one.state == "failed":
                    _explain(voice, wired)
        if _settled(runs, wanted, entries, wired):
            steady_since.append(time.monotonic())
        else:
            steady_since.clear()
        return bool(steady_since) and time.monotonic() - steady_since[0] >= STEADY_SECONDS

    voice.progress("等待调度器按时间表运行全部接入", "waiting for the scheduler to run every ingest")
    now.supervisor.wait(settled, ("接入与合并", "the ingests and merges"), SETTLE_SECONDS, pause=1.0)
    return now.client.runs()


def _explain(voice: Voice, wired: Wired) -> None:
    """Say what stopped the runs that failed, in the words of their errors."""
    for one in wired.state.runs(limit=20):
        if one.status == "failed" and one.error:
            voice.progress(
                f"  {one.resource}：{one.error['zh']}；{one.error['fix_zh']}",
                f"  {one.resource}: {one.error['en']}. {one.error['fix_en']}",
            )


def _settled(runs: list[DagRun], wanted: set[str], entries: list[IndexEntry], wired: Wired) -> bool:
    libraries = {one.library for one in entries if one.library}
    ingested = {one.dag for one in runs if one.kind == "scheduled" and one.state == "success"}
    merged = {one.dag for one in runs if one.kind == "asset_triggered" and one.state == "success"}
    busy = any(one.state in ("queued", "running") for one in runs if one.dag.startswith("merge__"))
    if busy or not wanted <= ingested or not {f"merge__{name}" for name in libraries} <= merged:
        return False
    return all(_current(library, [one for one in entries if one.library == library], wired) for library in libraries)


def _current(library: str, entries: list[IndexEntry], wired: Wired) -> bool:
    """True when what is published was merged after the last landing."""
    state = wired.state
    landed = [state.releases(1, changed=wired.deployment.resource(one.resource).table) for one in entries]
    merged = state.releases(1, changed=base_table(library))
    published = state.publication(library)
    if not merged or published is None or not all(landed):
        return False
    return merged[0].id > max(one[0].id for one in landed) and published.release >= merged[0].id


def _look(now: Running, wired: Wired, ledger: Ledger, runs: list[DagRun]) -> Outcome:
    """Ask the questions, read what readers see, and compare all of it with the ledger."""
    from sharing.keys import Keys

    keys = {name: Keys(wired.state.engine).issue(name, "demo") for name in ("swj", "mzj", "rsj")}
    asked = questions.questions(ledger)
    replies = questions.ask(now.api_url, keys, asked, ledger)
    used = questions.usage(now.api_url, keys)
    observed = observe(wired, ledger)
    wrong = [f"{one.question.department} {one.question.library}: {line}" for one in replies for line in one.wrong]
    wrong = [*differences(wired, ledger, observed), *wrong, *questions.usage_differences(asked, used)]
    return Outcome(runs, observed, replies, used, wrong)


def _tell(voice: Voice, now: Running, wired: Wired, outcome: Outcome, took: float) -> None:
    """Print what each group wants to see, the verdict, and where to look further."""
    show.manager(voice, wired, outcome.observed, outcome.runs)
    show.departments(voice, outcome.replies, outcome.used)
    show.analyst(voice, wired, outcome.observed)
    count = len(outcome.wrong)
    if count:
        voice.line(f"\n✗ 与台账不符 {count} 处（{took:.0f} 秒）", f"\n✗ {count} differences ({took:.0f} s)")
        for line in outcome.wrong:
            voice.line(f"  {line}", f"  {line}")
    else:
        voice.line(
            f"\n✓ 全部数字与台账一致（{took:.0f} 秒）", f"\n✓ every figure agrees with the ledger ({took:.0f} s)"
        )
    passwords = f"{now.airflow.home}/passwords.json"
    voice.line(
        f"Airflow {now.airflow.url}（用户 shutong，口令见 {passwords}）\n共享接口 {now.api_url}/openapi.json",
        f"Airflow {now.airflow.url} (user shutong, password in {passwords})\nsharing API {now.api_url}/openapi.json",
    )


def differences(wired: Wired, ledger: Ledger, observed: dict[str, object]) -> list[str]:
    """Where the deployment's rules, counts, content or libraries are not what the generator's ledger says."""
    return [*roster.compare(one.standard for one in wired.deployment.resources), *compare(ledger, observed)]
