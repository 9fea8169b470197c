"""The tax bureau's service as a real process: pages, tokens, errors."""

import json
import subprocess
import sys
import time

import httpx
import pytest

RECORDS = [{"shxydm": f"{number:018d}", "nsrmc": f"𠮷{number}"} for number in range(23)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("tax") / "taxpayers.json"
    path.write_text(json.dumps(RECORDS, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def service(data):
    token, port = data.with_name("token"), data.with_name("port")
    token.write_text("s3cret\n")
    command = [sys.executable, "-m", "shutong.demo.rest_service", "--port", "0", "--data", str(data)]
    process = subprocess.Popen([*command, "--token-file", str(token), "--port-file", str(port)])
    try:
        for _ in range(200):
            if port.exists():
                break
            assert process.poll() is None, "the service ended"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port.read_text()}"
    finally:
        process.terminate()
        process.wait(10)


def ask(service, address, token="s3cret"):
    return httpx.get(service + address, headers={"Authorization": f"Bearer {token}"}, trust_env=False)


def test_all_pages_together_are_all_records_once(service):
    pages = [ask(service, f"/taxpayers?page={page}&size=10").json() for page in (1, 2, 3, 4)]
    assert [len(page["data"]) for page in pages] == [10, 10, 3, 0]
    assert [record for page in pages for record in page["data"]] == RECORDS
    assert {(page["total"], page["pages"]) for page in pages} == {(23, 3)}


@pytest.mark.parametrize("token", ["none", "wrong", "s3cre"])
def test_without_the_right_token_nothing_is_told(service, token):
    answer = ask(service, "/taxpayers", token)
    assert answer.status_code == 401
    assert "data" not in answer.json()


@pytest.mark.parametrize("query", ["page=0", "size=0", "size=100000", "page=x"])
def test_a_page_that_cannot_be_is_refused(service, query):
    assert ask(service, f"/taxpayers?{query}").status_code == 400


def test_an_unknown_address_is_not_found_and_health_needs_no_token(service):
    assert ask(service, "/elsewhere").status_code == 404
    assert httpx.get(f"{service}/health", trust_env=False).json() == {"status": "up"}


def test_records_replaced_while_it_runs_are_served_at_once(service, data):
    try:
        data.write_text(json.dumps(RECORDS[:2]), encoding="utf-8")
        assert ask(service, "/taxpayers").json()["total"] == 2
    finally:
        data.write_text(json.dumps(RECORDS, ensure_ascii=False), encoding="utf-8")
