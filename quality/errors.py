"""What can go wrong while deciding whether a batch is good."""

from __future__ import annotations

from schemas.errors import ShutongError


class QualityError(ShutongError):
    """A rule cannot be evaluated as it is written, or the table is not one that can be checked."""
