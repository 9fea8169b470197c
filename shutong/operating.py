"""How a deployment's settings have its sharing API run: limits, drain, who reads metrics, access log, traces."""

from __future__ import annotations

from sharing.access_log import log_of
from sharing.operating import LogTerms, Operating, TraceTerms
from sharing.proxies import networks_of
from shutong.deployment import DeploymentSecrets
from shutong.layout import SetupError
from shutong.settings import Settings

METRICS_SECRET = "metrics"  # noqa: S105 - the name of a secret


def operating_of(settings: Settings) -> Operating:
    """The terms of the settings; the secret `metrics`, if there is one, opens /metrics to whoever shows it."""
    told = settings.operation
    return Operating(
        calls=told.calls,
        body_seconds=told.body_seconds,
        drain_seconds=told.drain_seconds,
        metrics_from=networks_of(told.metrics_from),
        metrics_token=_token(settings),
        log=LogTerms(log_of(settings.home), days=told.access_log_days) if told.access_log_days else None,
        traces=TraceTerms(told.traces_url, told.traces_percent) if told.traces_url else None,
    )


def _token(settings: Settings) -> bytes | None:
    try:
        return DeploymentSecrets(settings).get(METRICS_SECRET).encode()
    except SetupError as error:
        if error.code != "SYS-SECRET-MISSING":
            raise
        return None
