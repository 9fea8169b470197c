"""A department pushes to the real server, which is killed around the instant a batch becomes durable."""

import hashlib
import hmac
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from small_deployment import HEADER, add_resource, firm, lay_out, opened

from sharing.keys import Keys
from sharing.ledger import Ledger
from warehouse.keep import received
from warehouse.state import State
from warehouse.store import LocalStore

ROOT = Path(__file__).parents[2]
RUN = "import sys; from sharing.serve import serve; serve('push_server:config', port=int(sys.argv[1]), workers=1)"
SECRET = "0123456789abcdef-推送"
pytestmark = [pytest.mark.kills, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    home = lay_out(tmp_path_factory.mktemp("push") / "home")
    add_resource(home, "{kind: push, secret: scjg_push, algorithm: sm3}")
    add_resource(home, "{kind: push, secret: scjg_push}", department="swj")
    with opened(home) as wired:
        keys = {name: Keys(wired.state.engine).issue(name, "test") for name in ("scjg", "swj")}
    server = Server(home, keys)
    server.start()
    yield server
    server.stop()
    ledger = Ledger(home / "meter")
    assert ledger.verify().sound
    assert {call.status for call in ledger.records() if call.operation == "push"} >= {200}


class Server:
    """The process, and a sender that signs as the contract says."""

    def __init__(self, home, keys):
        self.home, self.keys = home, keys
        self.flag = home / "die-at"

    def start(self):
        with socket.socket() as sought:
            sought.bind(("127.0.0.1", 0))
            port = sought.getsockname()[1]
        env = os.environ | {
            "SHUTONG_HOME": str(self.home),
            "SHUTONG_SECRET_DEPLOYMENT": "d" * 32,
            "SHUTONG_SECRET_SCJG_PUSH": SECRET,
            "KILL_FILE": str(self.flag),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
        }
        self.log = (self.home / "server.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(port)], env=env, stdout=self.log, stderr=self.log, start_new_session=True
        )
        self.address = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 90
        while time.monotonic() < end:
            assert self.process.poll() is None, (self.home / "server.log").read_text()
            try:
                httpx.get(self.address + "/openapi.json", trust_env=False)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
        pytest.fail((self.home / "server.log").read_text())

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)
        self.log.close()

    def push(self, batch, records, who="scjg", resource="scjg.firms", algorithm="sm3"):
        path = f"/v1/ingest/{resource}/batches/{batch}"
        body = records if isinstance(records, bytes) else json.dumps(records, ensure_ascii=False).encode()
        stamp, nonce = str(int(time.time())), secrets.token_hex(16)
        lines = "\n".join(["POST", path, stamp, nonce, hashlib.new(algorithm, body).hexdigest()])
        made = hmac.new(SECRET.encode(), lines.encode(), algorithm).hexdigest()
        headers = {
            "X-Api-Key": self.keys[who],
            "X-Timestamp": stamp,
            "X-Nonce": nonce,
            "X-Signature": f"{algorithm}={made}",
            "Content-Type": "application/json",
        }
        return httpx.post(self.address + path, content=body, headers=headers, trust_env=False, timeout=60)


def firms(*rows):
    return [dict(zip(HEADER, row, strict=True)) for row in rows]


def kept(server):
    """Rows kept by batch, read from the files themselves."""
    state = State(f"sqlite:///{server.home}/state/state.db")
    try:
        store = LocalStore(server.home / "warehouse")
        return {
            one.run.removeprefix("push-scjg.firms-"): received(store, one).num_rows
            for one in state.manifests("scjg.firms")
        }
    finally:
        state.close()


def test_a_batch_is_kept_once_through_every_death_and_answered_as_already_there(server):
    told = server.push("b1", [*firms(firm(1, "𠮷野家有限公司")), *firms(*map(firm, range(2, 9))), "stray"])
    assert told.status_code == 200, told.text
    assert (told.json()["rows"], told.json()["rejected"], told.json()["already"]) == (9, 1, False)
    assert told.json()["rejects"][0]["row"] == 9
    # Durable and not yet answered: the same batch again is there already.
    for point, durable in (("pull.files_durable", False), ("pull.committed", True)):
        batch = f"at-{point}"
        server.flag.write_text(point)
        with pytest.raises(httpx.TransportError):
            server.push(batch, firms(firm(20, batch)))
        assert not server.flag.exists()
        server.stop()
        server.start()
        assert (batch in kept(server)) is durable
        again = server.push(batch, firms(firm(20, batch))).json()
        assert (again["already"], again["rows"]) == (durable, 1)
        assert server.push(batch, firms(firm(20, "other"))).status_code == 409
    assert kept(server) == {"b1": 9, "at-pull.files_durable": 1, "at-pull.committed": 1}
    folders = {path.parent.name for path in (server.home / "warehouse" / "land" / "scjg").rglob("*.parquet")}
    assert folders == {
        "push-scjg.firms-b1",
        "push-scjg.firms-at-pull.files_durable",
        "push-scjg.firms-at-pull.committed",
    }


def test_what_cannot_be_read_is_refused_with_its_line_and_other_departments_stay_out(server):
    answer = server.push("bad", b'[\n{"a": 1},\n{"a" 2}]')
    assert (answer.status_code, answer.json()["code"]) == (400, "SRC-PUSH-JSON")
    assert "line 3" in answer.json()["en"]["detail"]
    assert server.push("b9", firms(firm(1)), who="swj").status_code == 403
    assert server.push("b9", firms(firm(1)), algorithm="sha256").json()["code"] == "SHR-PUSH-UNSIGNED"
    assert server.push("b9", [], who="swj", resource="swj.firms", algorithm="sha256").json()["rows"] == 0
