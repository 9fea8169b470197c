"""The root of the warehouse's errors."""

from __future__ import annotations

from schemas.errors import ShutongError


class WarehouseError(ShutongError):
    """Something durable is missing, torn or contested."""
