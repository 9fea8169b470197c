"""Say in the log that a call is tried again: why and when, without address and secret, and not on the terminal."""

from __future__ import annotations

import logging

import stamina.instrumentation
from stamina.instrumentation import RetryDetails

_log = logging.getLogger(__name__)


def log_retries() -> None:
    """Let stamina say so here; by itself it prints or warns in the midst of what a command answers."""
    stamina.instrumentation.set_on_retry_hooks([_told])


def _told(details: RetryDetails) -> None:
    why = type(details.caused_by).__name__
    _log.info("attempt %d failed (%s), the next one is in %.1f s", details.retry_num, why, details.wait_for)
