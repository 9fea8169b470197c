"""The libraries that ingest tasks need, imported once by the process that forks them."""

import connectors.databases.source
import connectors.files.source
import quality.check
import runs.steps
import shutong.wiring
import warehouse.tables

__all__ = ["connectors", "quality", "runs", "shutong", "warehouse"]
