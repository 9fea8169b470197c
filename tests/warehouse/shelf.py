"""Keep what a folder holds aside, and put it back under the name the folder had, for each test that begins from it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Shelf:
    """States of one folder by name: files of a warehouse name each other by their paths, so they keep them."""

    folder: Path

    @property
    def place(self) -> Path:
        return self.folder / "place"

    def make(self, making: Callable[[Path], None]) -> Shelf:
        """Make what the tests begin from."""
        self.place.mkdir(parents=True)
        making(self.place)
        self.keep()
        return self

    def keep(self, name: str = "beginning") -> None:
        """Keep a copy of what the folder holds now."""
        shutil.copytree(self.place, self.folder / "kept" / name)

    def back(self, name: str = "beginning") -> Path:
        """The folder, holding what was kept under that name and nothing else."""
        if self.place.exists():
            shutil.rmtree(self.place)
        shutil.copytree(self.folder / "kept" / name, self.place)
        return self.place
