"""The systemd units: systemd accepts them, each is locked down, and what each starts really starts and stops."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner
from unit_files import PYTHON, UNITS, WEED, commands, ended, environment, free_port, settings, started, until

from infra.container.healthy import healthy
from shutong.airflow_service import prepare
from shutong.cli import main

SERVICES = sorted(path for path in UNITS.glob("*.service") if path.name != "shutong.service")
HARDENING = UNITS / "shutong-.service.d" / "hardening.conf"
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer")
analyze = shutil.which("systemd-analyze")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The units as they would lie in /etc/systemd/system, starting programs that are here."""
    folder = tmp_path_factory.mktemp("system")
    shutil.copytree(UNITS, folder, dirs_exist_ok=True)
    for path in folder.glob("*.service"):
        path.write_text(path.read_text().replace(PYTHON, sys.executable).replace(WEED, sys.executable))
    return folder


@pytest.mark.skipif(analyze is None, reason="systemd-analyze is not installed (Debian package systemd)")
def test_systemd_accepts_every_unit(installed):
    units = [str(path).replace("@.", "@one.") for path in sorted(installed.iterdir()) if path.is_file()]
    for template in installed.glob("*@.service"):
        (installed / template.name.replace("@.", "@one.")).symlink_to(template)
    told = {"SYSTEMD_UNIT_PATH": f"{installed}:", "PATH": "/usr/bin:/bin"}
    verified = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", *units],
        check=False,
        capture_output=True,
        text=True,
        env=told,
    )
    assert (verified.returncode, verified.stderr.replace(str(installed), "")) == (0, "")


@pytest.mark.skipif(analyze is None, reason="systemd-analyze is not installed (Debian package systemd)")
def test_what_a_unit_may_do_to_the_machine_is_little(installed):
    path = str(installed / "shutong-api.service")
    judged = subprocess.run([analyze, "security", "--offline=yes", path], check=False, capture_output=True, text=True)
    exposure = re.search(r"exposure level.*: ([\d.]+)", judged.stdout)
    assert exposure is not None, judged.stderr
    assert float(exposure[1]) < 2  # of 10; 9.6 without any of it


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_every_service_has_a_memory_limit_and_nothing_that_what_all_share_would_overrule(path):
    shared, own = settings(HARDENING), settings(path)
    assert own["Service.MemoryMax"]
    assert shared["Service.NoNewPrivileges"] == ["yes"]
    assert shared["Service.ProtectSystem"] == ["strict"]
    assert set(shared) & set(own) <= {"Service.StateDirectory"}  # a list: both count


def test_every_unit_starts_a_program_there_is():
    for path in SERVICES:
        for _, *words in commands(path, "one"):
            if words[:2] == ["-m", "shutong"]:
                named = [word for word in words[2:] if word.isalpha()][: 1 if words[2] == "follow" else 2]
                assert CliRunner().invoke(main, [*named, "--help"]).exit_code == 0, words
            elif words[0] == "-m":
                assert runpy.importlib.util.find_spec(words[1]), words
            else:
                assert path.name == "shutong-store.service"


def test_the_parts_of_airflow_are_those_that_shutong_up_starts(tmp_path, monkeypatch, deployment):
    from shutong import airflow_part

    replaced = []
    monkeypatch.setenv("SHUTONG_HOME", str(deployment))
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://elsewhere/airflow")
    monkeypatch.setattr(airflow_part.os, "execve", lambda *given: replaced.append(given))
    for part in AIRFLOW:
        airflow_part.main([part])
    usual = prepare(deployment, 8680, {}).programs()
    assert [list(words) for _, words, _ in replaced] == [list(one.command) for one in usual]
    databases = {told["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] for _, _, told in replaced}
    assert databases == {"postgresql://elsewhere/airflow"}  # what the unit says goes before what we would
    assert len({told["AIRFLOW__CORE__FERNET_KEY"] for _, _, told in replaced}) == 1


def test_an_unknown_part_of_airflow_is_refused_with_those_there_are(monkeypatch, deployment, capsys):
    from shutong import airflow_part

    monkeypatch.setenv("SHUTONG_HOME", str(deployment))
    assert airflow_part.main(["webserver"]) == 2
    assert "setup|api-server|scheduler|dag-processor|triggerer" in capsys.readouterr().err


def test_the_sharing_api_of_its_unit_answers_and_stops(tmp_path, deployment):
    port, log = free_port(), tmp_path / "log"
    told = environment(deployment, SHUTONG_API_PORT=str(port))
    with started(*commands(UNITS / "shutong-api.service"), told, log) as process:
        until(lambda: healthy(f"http://127.0.0.1:{port}/openapi.json", None, 200), process, log)
        assert healthy(f"http://127.0.0.1:{port}/healthz", None, 200)
        assert healthy(f"http://127.0.0.1:{port}/readyz", None, 503)  # nothing is published yet
        assert ended(process) == 0


def test_the_object_store_of_its_unit_answers_and_keeps_out_who_has_no_name(tmp_path):
    log, secrets = tmp_path / "log", tmp_path / "secrets"
    subprocess.run([sys.executable, UNITS.parent / "make_secrets.py", secrets], check=True, capture_output=True)
    ports = iter([free_port() for _ in range(8)])
    (command,) = commands(UNITS / "shutong-store.service")
    places = {
        "/var/lib/shutong-store": str(tmp_path), "/run/shutong-store": str(tmp_path), "/etc/shutong/secrets": str(secrets),
        "8333": str(port := next(ports)), "minFreeSpace=7": "minFreeSpace=100MiB", "volume.max=0": "volume.max=8",
    }  # fmt: skip
    for before, after in places.items():
        command = [word.replace(before, after) for word in command]
    others = [f"-{part}.port{kind}={next(ports)}" for part in ("master", "volume", "filer") for kind in ("", ".grpc")]
    with started([*command, *others, f"-s3.port.grpc={next(ports)}"], environment(tmp_path), log) as process:
        until(lambda: healthy(f"http://127.0.0.1:{port}/", None, 403), process, log)
        process.kill()  # asked to end it waits half a minute for readers
    assert "telemetry.seaweedfs.com" not in log.read_text(errors="replace")


def test_the_follower_of_a_library_follows_and_stops(tmp_path, deployment):
    log = tmp_path / "log"
    (command,) = commands(UNITS / "shutong-library@.service", "legal_person")
    with started(command, environment(deployment, PYTHONUNBUFFERED="1"), log) as process:
        until(lambda: b"following library legal_person" in log.read_bytes(), process, log)
        assert ended(process) == 0
    assert log.read_text().endswith("Stopped\n")


@pytest.mark.prove
def test_every_step_of_the_nightly_care_ends_well(deployment):
    for command in commands(UNITS / "shutong-care.service"):
        done = subprocess.run(command, env=environment(deployment), check=False, capture_output=True, text=True)
        assert done.returncode == 0, (command, done.stderr)
    assert list((deployment / "backups").iterdir())


@pytest.mark.prove
def test_the_parts_of_airflow_come_up_together_and_are_well(tmp_path, deployment):
    port, logs = free_port(), {part: tmp_path / part for part in ("setup", *AIRFLOW)}
    told = environment(deployment, SHUTONG_AIRFLOW_PORT=str(port))
    (setup,) = commands(UNITS / "shutong-airflow-setup.service")
    done = subprocess.run(setup, env=told, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    running = []
    for part in AIRFLOW:
        (command,) = commands(UNITS / "shutong-airflow@.service", part)
        running.append(started(command, told, logs[part]))
    entered = [one.__enter__() for one in running]
    try:
        for part in ("metadatabase", "scheduler", "dag_processor", "triggerer"):
            url = f"http://127.0.0.1:{port}/api/v2/monitor/health"
            until(lambda part=part, url=url: healthy(url, part, 200), entered[1], logs["scheduler"], 240)
        assert [one.poll() for one in entered] == [None] * 4
        stopped = [ended(one, 90) for one in entered]
        assert stopped[0] == 0
    finally:
        for one in running:
            one.__exit__(None, None, None)
