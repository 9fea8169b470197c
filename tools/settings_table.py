"""Write the table of settings into the pages that show it, between two marks; with --write, else check that it is."""

from __future__ import annotations

import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP))

from shutong.settings import SECRET_PREFIX, SETTINGS  # noqa: E402 - the checkout comes first

PAGES = {"README.md": "en", "README.zh-CN.md": "zh"}
BETWEEN = re.compile(r"(<!-- settings -->\n).*?(<!-- /settings -->)", re.DOTALL)


def table(language: str) -> str:
    """The table in one language."""
    zh = language == "zh"
    lines = ["| 变量 | 缺省值 | 含义 |" if zh else "| variable | default | meaning |", "|---|---|---|"]
    lines += [
        f"| `{one.name}` | {f'`{one.default}`' if one.default else '-'} | {one.zh if zh else one.en} |"
        for one in SETTINGS
    ]
    secret = "密钥 `<NAME>`，优先于 `secrets.yaml`" if zh else "The secret `<name>`; goes before `secrets.yaml`"
    lines.append(f"| `{SECRET_PREFIX}<NAME>` | - | {secret} |")
    return "\n".join(lines) + "\n"


def renewed(page: str, language: str) -> str:
    """A page's text with the table as it should be."""
    return BETWEEN.sub(lambda found: found[1] + table(language) + found[2], page)


def main(arguments: list[str]) -> int:
    """Check the pages, or with --write bring them up to date."""
    stale = []
    for name, language in PAGES.items():
        path = TOP / name
        text = path.read_text()
        if arguments == ["--write"]:
            path.write_text(renewed(text, language))
        elif renewed(text, language) != text or not BETWEEN.search(text):
            stale.append(f"{name}: the table of settings is stale: run tools/settings_table.py --write")
    print("\n".join(stale), end="\n" if stale else "")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
