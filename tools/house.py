"""The house rules that no other linter holds: file and function caps, first sentences, names, ARCHITECTURE.md."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
PACKAGES = ("schemas", "connectors", "quality", "warehouse", "runs", "sharing", "shutong", "dags")
OTHERS = ("client", "tools", "infra", "benchmarks", "tests", "examples")
FILE_LINES, FUNCTION_LINES = 400, 60
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}
HEAD = """# Architecture

Generated from each file's first sentence by `make architecture`; CI fails when it is stale. Layers, from the top:

```
dags > shutong > sharing > runs > (connectors | quality | warehouse) > schemas
```
"""


def sources(folders: tuple[str, ...]) -> Iterator[Path]:
    """Every Python file of those folders, in order."""
    for folder in folders:
        yield from sorted(path for path in (TOP / folder).rglob("*.py") if "__pycache__" not in path.parts)


def first_sentence(path: Path) -> str:
    """The first paragraph of the file's docstring on one line; empty when there is none."""
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(docstring.split("\n\n")[0].split())


def complaints(path: Path) -> Iterator[str]:
    """What one file does against the house rules."""
    text, name = path.read_text(), path.relative_to(TOP)
    lines = text.count("\n")
    if lines > FILE_LINES:
        yield f"{name}: {lines} lines, at most {FILE_LINES}"
    if path.stem in FORBIDDEN_NAMES:
        yield f"{name}: name it after what it holds"
    if not first_sentence(path):
        yield f"{name}: begin with one sentence saying what the file is for"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            length = node.end_lineno - node.lineno + 1
            if length > FUNCTION_LINES:
                yield f"{name}:{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES}"


def architecture() -> str:
    """ARCHITECTURE.md as it should read."""
    parts = [HEAD]
    for package in PACKAGES:
        parts.append(f"\n## {package}\n{first_sentence(TOP / package / '__init__.py')}\n\n")
        for path in sources((package,)):
            relative = path.relative_to(TOP / package)
            if "versions" in relative.parts or str(relative) == "__init__.py":
                continue
            parts.append(f"- `{relative}`: {first_sentence(path)}\n")
    return "".join(parts)


def main(arguments: list[str]) -> int:
    """Check, or with --write bring ARCHITECTURE.md up to date."""
    page = TOP / "ARCHITECTURE.md"
    if arguments == ["--write"]:
        page.write_text(architecture())
        return 0
    found = [line for path in sources(PACKAGES + OTHERS) for line in complaints(path)]
    names = Counter(path.name for path in sources(("tests", "client")) if path.name.startswith("test_"))
    found += [
        f"tests: {count} files are called {name}, which pytest cannot tell apart"
        for name, count in names.items()
        if count > 1
    ]
    if not page.exists() or page.read_text() != architecture():
        found.append("ARCHITECTURE.md is stale: run `make architecture`")
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
