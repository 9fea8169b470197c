"""What the warehouse remembers besides records: runs, manifests, positions, releases and publications."""

from __future__ import annotations

from warehouse.state.state import State
from warehouse.state.values import Pin, Publication, Release, Run

__all__ = ["Pin", "Publication", "Release", "Run", "State"]
