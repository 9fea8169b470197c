"""Draw captured output of the demo as an SVG that needs no font, script or address of anyone else.

    SHUTONG_LANG=en python -m shutong demo --once > demo.txt
    python tools/picture.py demo.txt docs/pictures/demo.svg "Data manager: the resources" "one firm" "who called what"

Kept are some lines of progress, the tables whose headings hold one of the texts, and the lines after the last table.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

CELL, LINE, MARGIN, BAR = 8.0, 20, 20, 30  # pixels: a half-width character, a line, around the text, the title bar
COLUMNS, PROGRESS, SHOWN = 118, 6, 9
COLOURS = {"■": "#7dcfff", "✓": "#9ece6a", "✗": "#f7768e", "·": "#7a88b8", "$": "#e0af68"}
PLAIN, FIRST = "#c0caf5", "#7a88b8"
FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, 'Noto Sans Mono CJK SC', 'Noto Sans CJK SC', monospace"


def chosen(text: str, wanted: Sequence[str]) -> list[str]:
    """The lines worth a picture."""
    lines = [line.rstrip() for line in text.splitlines()]
    progress = [line for line in lines if line.startswith("·")]
    blocks = [list(block) for empty, block in groupby(lines, key=lambda line: not line) if not empty]
    kept = ["$ make demo", *progress[:2], *progress[-PROGRESS + 2 :]]
    for block in blocks:
        if block[0].startswith("■") and any(word in block[0] for word in wanted):
            more = [f"  … {len(block) - SHOWN}"] if len(block) > SHOWN + 1 else []
            kept += ["", *(block if not more else block[:SHOWN] + more)]
    last = next((block for block in reversed(blocks) if block[0][0] in "✓✗"), [])
    return [*kept, "", *last]


def width(char: str) -> int:
    """Columns a character takes."""
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cropped(line: str) -> str:
    """The line cut to the columns of the picture."""
    taken = 0
    for place, char in enumerate(line):
        taken += width(char)
        if taken > COLUMNS:
            return line[: place - 1] + "…"
    return line


def drawn(line: str, y: int, fill: str) -> str:
    """One line, each run of equally wide characters put on its own columns so that tables stay straight in any font."""
    parts, column = [], 0
    for _, group in groupby(re.findall(r" +|[^ ]", line), key=lambda one: (one[0] == " ", width(one[0]))):
        run = "".join(group)
        columns = sum(map(width, run))
        if run.strip():
            parts.append(
                f'<text x="{MARGIN + column * CELL:g}" y="{y}" fill="{fill}" textLength="{columns * CELL:g}" '
                f'lengthAdjust="spacingAndGlyphs">{escape(run)}</text>'
            )
        column += columns
    return "".join(parts)


def picture(lines: Sequence[str]) -> str:
    """The SVG of a terminal that shows those lines."""
    shown = [cropped(line) for line in lines]
    across = int(2 * MARGIN + COLUMNS * CELL)
    down = BAR + 2 * MARGIN + LINE * len(shown)
    body, heading = [], False
    for number, line in enumerate(shown):
        fill = FIRST if heading else COLOURS.get(line[:1], PLAIN)
        heading = line.startswith("■")
        body.append(drawn(line, BAR + MARGIN + LINE * number + 14, fill))
    lights = "".join(
        f'<circle cx="{20 + 18 * place}" cy="15" r="5" fill="{colour}"/>'
        for place, colour in enumerate(("#f7768e", "#e0af68", "#9ece6a"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across} {down}" width="{across}" height="{down}" '
        f'role="img" aria-label="make demo" font-family="{FONT}" font-size="13">\n'
        f'<rect width="{across}" height="{down}" rx="8" fill="#1a1b26"/>{lights}\n' + "\n".join(body) + "\n</svg>\n"
    )


def main(arguments: Sequence[str]) -> int:
    """Draw `arguments[0]` into `arguments[1]`, the tables named by the rest."""
    source, target, *wanted = arguments
    Path(target).write_text(picture(chosen(Path(source).read_text(), wanted)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
