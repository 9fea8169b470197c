"""The libraries that ingest tasks need, imported once by the process that forks them."""

import quality.check
import warehouse.tables

__all__ = ["quality", "warehouse"]
