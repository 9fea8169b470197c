"""A service asked in windows of time: what a run took stays taken, and the next one goes on from there."""

import json
import threading
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from small_deployment import HEADER, add_resource, code, firm, landed, lay_out, opened

from connectors import SourceUnavailable

NOW = datetime.now(ZoneInfo("Asia/Shanghai"))
TODAY = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
START = TODAY - timedelta(days=5)
LAG = NOW - TODAY + timedelta(hours=12)  # the last day that may be asked for is never one that ends meanwhile


@pytest.fixture
def service():
    """A service whose day n has firm n; `dark` days do not answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            day = (datetime.fromisoformat(query["from"]).replace(tzinfo=TODAY.tzinfo) - START).days
            server.asked.append(day)
            body = json.dumps([dict(zip(HEADER, firm(day + 1), strict=True))], ensure_ascii=False).encode()
            self.send_response(503 if day in server.dark else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.dark = [], set()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_windows_that_were_taken_are_not_asked_for_again_and_a_dark_day_stops_before_it(service, tmp_path):
    home = lay_out(tmp_path / "home")
    (home / "connections.yaml").write_text(f"connections: {{tax: {{url: 'http://127.0.0.1:{service.server_port}'}}}}\n")
    begin = f"start: {START.date()}, span: 1d, lag: {LAG.total_seconds():.0f}s"
    window = f"{{from_param: from, to_param: to, {begin}, format: '%Y-%m-%d', at_most: 2}}"
    add_resource(
        home,
        f"{{kind: rest, path: /firms, window: {window}, retries: {{attempts: 1}}}}",
        more="connection: tax\n",
    )
    with opened(home) as wired:
        ingest = wired.steps.ingest
        ingest("scjg.firms", "first")
        assert set(landed(wired)) == {code(1), code(2)}
        service.dark = {3}
        with pytest.raises(SourceUnavailable):
            ingest("scjg.firms", "second")
        service.dark = set()
        service.asked.clear()
        ingest("scjg.firms", "second")
        assert service.asked[-2:] == [2, 3]
        assert 0 not in service.asked
        assert set(landed(wired)) == {code(n) for n in range(1, 5)}
        service.asked.clear()
        ingest("scjg.firms", "third")
        assert service.asked == [1]  # a look at the columns, and no window
