"""Set up Apache Spark with the reference implementation of Iceberg, in an environment of its own, for `make prove`.

No package brings the two together: the jar on PyPI comes without the classes of Jackson, which it wants under a name of
its own. Spark has them under theirs, so they are put under the other name, class by class.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
HOME = TOP / ".tools" / "spark"
PACKAGES = ("pyspark==3.5.9", "snowpark-connect-deps-iceberg==1.0.3")
THEIRS, WANTED = b"com/fasterxml/jackson", b"org/apache/iceberg/shaded/com/fasterxml/jackson"
_TEXT, _TWO_SLOTS = 1, (5, 6)  # kinds of a class file's constants, The Java Virtual Machine Specification, §4.4
_SIZES = {3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4, 19: 2, 20: 2}


@dataclass(frozen=True, slots=True)
class Spark:
    """A Python with pyspark, and the jars that Spark's driver needs to read Iceberg."""

    python: Path
    jars: tuple[Path, ...]


def prepared() -> Spark:
    """Install Java, pyspark and the jars where they are missing (0.5 GB), and say where they are."""
    subprocess.run([TOP / "infra" / "testing" / "install", "java"], check=True)
    python, ready = HOME / "bin" / "python", HOME / "ready"
    if not ready.exists() or ready.read_text(encoding="utf-8") != repr(PACKAGES):
        shutil.rmtree(HOME, ignore_errors=True)
        uv = TOP / ".tools" / "bin" / "uv"
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, HOME], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *PACKAGES], check=True)
        _relocate(sorted(_spark_jars().glob("jackson-*.jar")), _jackson())
        ready.write_text(repr(PACKAGES), encoding="utf-8")
    (iceberg,) = HOME.glob("lib/python3*/site-packages/snowpark_connect_deps_iceberg/jars/*-runtime-3.5_2.12-*.jar")
    return Spark(python, (iceberg, _jackson()))


def _spark_jars() -> Path:
    (jars,) = HOME.glob("lib/python3*/site-packages/pyspark/jars")
    return jars


def _jackson() -> Path:
    return HOME / "jackson-as-iceberg-wants-it.jar"


def _relocate(jars: list[Path], target: Path) -> None:
    """One jar with the classes of all of them under the other name."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for jar in jars:
            with zipfile.ZipFile(jar) as source:
                for name in source.namelist():
                    if name.startswith(THEIRS.decode()) and name.endswith(".class"):
                        made.writestr(name.replace(THEIRS.decode(), WANTED.decode()), _renamed(source.read(name)))


def _renamed(code: bytes) -> bytes:
    """A class file whose constants name the classes where they will be."""
    parts, at, number = [code[:10]], 10, 1
    count = int.from_bytes(code[8:10], "big")
    while number < count:
        kind = code[at]
        if kind == _TEXT:
            end = at + 3 + int.from_bytes(code[at + 1 : at + 3], "big")
            text = code[at + 3 : end].replace(THEIRS, WANTED)
            text = text.replace(THEIRS.replace(b"/", b"."), WANTED.replace(b"/", b"."))
            parts.append(bytes([_TEXT]) + len(text).to_bytes(2, "big") + text)
        else:
            end = at + 1 + _SIZES[kind]
            parts.append(code[at:end])
        at, number = end, number + (2 if kind in _TWO_SLOTS else 1)
    return b"".join([*parts, code[at:]])
