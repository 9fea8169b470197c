"""Take the pictures of a quality report, in both languages, from the demo's registry after four deliveries.

python tools/report_picture.py          # needs chromium and a font for Chinese: apt-get install chromium fonts-noto-cjk
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from quality.reports import gather_run, render
from quality.reports.values import Language
from shutong.commands.quality_report import context
from shutong.commands.quality_report_reader import readers
from shutong.demo import run as demo
from shutong.demo import systems
from shutong.layout import init
from shutong.settings import read
from shutong.wiring import open_deployment, today

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
RESOURCE = "scjg.enterprise_base"
ROUNDS, FIRMS = 4, 2_000
WIDE, HIGH = 1180, 1400


def pages(home: Path) -> list[tuple[Language, bytes]]:
    """The report on the newest delivery, by language."""
    init(home, demo.EXAMPLE)
    systems.generate(home, firms=FIRMS, persons=100)
    with open_deployment(read({"SHUTONG_HOME": str(home)})) as wired:
        for number in range(1, ROUNDS + 1):
            wired.steps.ingest(RESOURCE, f"day-{number}", trigger="schedule")
            systems.change(home, round=number)
        seen = readers(wired.deployment, None, today(), everything=False)
        report = gather_run(wired.state.engine, RESOURCE, context(wired, seen, 3))
    return [("en", render(report, "html", "en")), ("zh", render(report, "html", "zh"))]


def take(page: Path, picture: Path) -> None:
    """Let Chromium draw the page as a person without scripts and network would see it."""
    settings = ["--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu", f"--window-size={WIDE},{HIGH}"]
    command = ["chromium", *settings, f"--screenshot={picture}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def main() -> int:
    """Write docs/pictures/report.png and report.zh-CN.png."""
    with TemporaryDirectory() as folder:
        for lang, text in pages(Path(folder) / "home"):
            page = Path(folder) / f"{lang}.html"
            page.write_bytes(text)
            take(page, PICTURES / ("report.zh-CN.png" if lang == "zh" else "report.png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
