"""The compose file and what its containers run: by the specification's schema, by what it refers to, and started."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jsonschema
import pytest
import yaml
from unit_files import TOP, UNITS, commands, ended, environment, free_port, module_of, settings, started, until

from infra.container.healthy import healthy

COMPOSE = TOP / "infra" / "compose" / "compose.yaml"
SCHEMA = json.loads((TOP / "tests" / "infra" / "schemas" / "compose.json").read_text())
GIVEN = yaml.safe_load(COMPOSE.read_text())
SERVICES = GIVEN["services"]
nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def test_the_compose_file_is_one_by_the_specification():
    assert [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(GIVEN)] == []


def test_the_schema_would_have_noticed_a_misspelt_setting():
    wrong = json.loads(json.dumps(GIVEN))
    wrong["services"]["api"]["mem_limits"] = "1g"
    assert list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(wrong))


def test_everything_a_service_refers_to_is_there():
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", {})) <= set(SERVICES), name
        assert set(service["networks"]) <= set(GIVEN["networks"]), name
        assert {one["source"] for one in service.get("secrets", [])} <= set(GIVEN["secrets"]), name
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert (COMPOSE.parent / source).exists() if source.startswith(".") else source in GIVEN["volumes"], name
        for other, condition in service.get("depends_on", {}).items():
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{name} waits for the health of {other}"


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_no_more_rights_than_it_needs(name):
    service = SERVICES[name]
    assert service["user"].split(":")[0] not in ("0", "root")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    image, _, tag = service["image"].rpartition(":")
    assert image
    assert re.fullmatch(r"\d+\.\d+[\w.-]*", tag), "an exact version"


def test_no_password_stands_in_the_compose_file_and_only_nginx_is_reached_from_outside():
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            assert "://" not in value or "@" not in value or ":" not in value.partition("://")[2].partition("@")[0], key
            assert not re.search(r"PASSWORD$|SECRET$|_KEY$", key), key
        assert name == "nginx" or all(one.startswith("127.0.0.1:") for one in service.get("ports", []))


def test_a_container_runs_what_the_systemd_unit_of_the_same_thing_runs():
    units = {
        "api": ("shutong-api", ""),
        "library": ("shutong-library@", "legal_person"),
        "alarms": ("shutong-alarms", ""),
        "jobs": ("shutong-jobs", ""),
    }
    units["airflow-setup"] = ("shutong-airflow-setup", "")
    parts = ("api-server", "scheduler", "dag-processor", "triggerer")
    units |= {f"airflow-{part}": ("shutong-airflow@", part) for part in parts}
    for service, (unit, instance) in units.items():
        (line,) = commands(UNITS / f"{unit}.service", instance)
        assert module_of(SERVICES[service]["command"]) == module_of(line), service
    (store,) = settings(UNITS / "shutong-store.service")["Service.ExecStart"]
    flags = {word.partition("=")[0] for word in store.split() if word.startswith("-")}
    assert {word.partition("=")[0] for word in SERVICES["store"]["command"] if word.startswith("-")} == flags


def test_what_the_container_files_copy_is_there_and_their_base_has_an_exact_tag():
    for path in sorted((TOP / "infra" / "container").glob("Containerfile*")):
        text = path.read_text()
        assert ":latest" not in text
        assert re.search(r"^ARG BASE=\S+:\d[\w.-]*$", text, re.MULTILINE)
        for source in re.findall(r"^COPY --chmod=\d+ (\S+)", text, re.MULTILINE):
            assert (TOP / source).exists()
    text = (TOP / "infra" / "container" / "Containerfile").read_text()
    version = re.search(r'^version = "(.+)"', (TOP / "pyproject.toml").read_text(), re.MULTILINE)
    assert f"]=={version[1]}'" in text
    assert {one["image"] for one in SERVICES.values() if "/" not in one["image"]} == {
        f"shutong:{version[1]}", "shutong-store:4.48"
    }  # fmt: skip


def test_the_files_of_secrets_are_made_once_and_read_by_their_owner_alone(tmp_path):
    making = [sys.executable, TOP / "infra" / "make_secrets.py", tmp_path / "secrets"]
    made = subprocess.run(making, check=True, capture_output=True, text=True).stdout.split()
    wanted = {one["file"].rpartition("/")[2] for one in GIVEN["secrets"].values()} - {"tls.crt", "tls.key"}
    assert wanted <= set(made)
    assert {(tmp_path / "secrets" / name).stat().st_mode & 0o777 for name in made} == {0o400}
    before = (tmp_path / "secrets" / "pgpass").read_text()
    again = subprocess.run(making, check=False, capture_output=True, text=True)
    assert again.returncode == 1
    assert "nothing was written" in again.stderr
    password = (tmp_path / "secrets" / "postgres_password").read_text()
    assert (tmp_path / "secrets" / "pgpass").read_text() == before == f"postgres:5432:*:shutong:{password}\n"
    assert password not in again.stderr + " ".join(made)


class Answering(BaseHTTPRequestHandler):
    """What Airflow answers of its parts, one of which is not well."""

    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
        self.wfile.write(b'{"scheduler": {"status": "healthy"}, "triggerer": {"status": "unhealthy"}}')

    def log_message(self, *_):
        return


@pytest.fixture
def answering():
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_container_is_healthy_when_its_part_is(answering):
    program = [sys.executable, TOP / "infra" / "container" / "healthy.py"]
    assert subprocess.run([*program, f"{answering}/health", "--part", "scheduler"], check=False).returncode == 0
    assert subprocess.run([*program, f"{answering}/health", "--part", "triggerer"], check=False).returncode == 1
    assert not healthy(f"{answering}/health", "dag_processor", 200)
    assert healthy(f"{answering}/nothing", None, 404)
    assert not healthy(f"{answering}/nothing", None, 200)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    assert not healthy(f"http://127.0.0.1:{port}/health", None, 200)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """nginx.conf as its container has it, with a certificate and places of this machine."""
    if nginx is None:
        assert os.environ.get("CI") != "true", "nginx is not installed (Debian package nginx-light)"
        pytest.skip("nginx is not installed (Debian package nginx-light)")
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "conf.d").mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=share.example", "-days", "2",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "tls.key", "-out", folder / "tls.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    (folder / "mime.types").write_text("types {}\n")
    return folder


def configured(site, upstream, port=8443, api=8600):
    places = {
        "/etc/nginx/mime.types": str(site / "mime.types"), "/etc/nginx/conf.d": str(site / "conf.d"), "8443": str(port),
        "/etc/shutong/tls": str(site), " /tmp/": f" {site}/", "127.0.0.1:8600": f"127.0.0.1:{api}",
        "/var/log/nginx": str(site),
    }  # fmt: skip
    sources = {"nginx.conf": TOP / "infra/nginx/nginx.conf", "conf.d/shutong.conf": TOP / "infra/nginx/shutong.conf"}
    for name, source in {**sources, "conf.d/upstream.conf": upstream}.items():
        text = source.read_text()
        for before, after in places.items():
            text = text.replace(before, after)
        (site / name).write_text(text)
    return [nginx, "-c", str(site / "nginx.conf"), "-p", str(site)]


@pytest.mark.parametrize("upstream", ["nginx/upstream.conf", "compose/upstream.conf"])
def test_nginx_accepts_its_configuration(site, upstream):
    tested = subprocess.run(
        [*configured(site, TOP / "infra" / upstream), "-t"], check=False, capture_output=True, text=True
    )
    assert tested.returncode == 0, tested.stderr
    assert "[warn]" not in tested.stderr.replace('the "user" directive', "")


def test_nginx_starts_where_its_output_is_the_journal(site):
    ours, journal = socket.socketpair()
    with ours, journal:
        command = [*configured(site, TOP / "infra/nginx/upstream.conf"), "-t"]
        tested = subprocess.run(command, check=False, stdout=journal, stderr=subprocess.PIPE, text=True)
    assert tested.returncode == 0, tested.stderr


def test_a_call_goes_through_nginx_to_the_sharing_api(site, deployment, tmp_path):
    api, port = free_port(), free_port()
    command = [sys.executable, *SERVICES["api"]["command"][1:]]
    front = [*configured(site, TOP / "infra/nginx/upstream.conf", port, api), *SERVICES["nginx"]["command"][1:]]
    trusting = ssl.create_default_context(cafile=site / "tls.crt")

    def answers(path, code=200):
        try:
            with urllib.request.urlopen(f"https://127.0.0.1:{port}{path}", context=trusting, timeout=5) as answer:
                return answer.status == code
        except urllib.error.HTTPError as error:
            return error.code == code
        except OSError:
            return False

    with (
        started(command, environment(deployment, SHUTONG_API_PORT=str(api)), tmp_path / "api") as serving,
        started(front, environment(deployment), tmp_path / "nginx") as proxy,
    ):
        until(lambda: answers("/openapi.json"), serving, tmp_path / "api")
        assert answers("/v1/libraries/legal_person/91330000000000000X", 401)  # the API's own answer to a nobody
        assert ended(proxy) == 0
    logs = [tmp_path / "nginx", site / "access.log", site / "error.log"]
    assert " GET 401 " in logs[1].read_text()
    assert not any("91330000000000000X" in log.read_text() for log in logs)  # keys stand in no log of nginx
