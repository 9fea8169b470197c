"""Which proxies a deployment believes, and the secret that signatures and access tokens are derived from."""

from __future__ import annotations

import hashlib

from sharing.proxies import Trust, networks_of
from shutong.deployment import DeploymentSecrets
from shutong.layout import SetupError
from shutong.settings import Settings

DEPLOYMENT_SECRET = "deployment"  # noqa: S105 - the name of a secret
PROXY_SECRET = "proxy"  # noqa: S105 - the name of a secret


def trust_of(settings: Settings) -> Trust:
    """The proxies of the settings; the secret `proxy`, if there is one, is what they show in X-Proxy-Secret."""
    header = settings.api_certificate_header.lower().encode() or None
    secret = None
    if header is not None:
        try:
            secret = DeploymentSecrets(settings).get(PROXY_SECRET).encode()
        except SetupError as error:
            if error.code != "SYS-SECRET-MISSING":
                raise
    return Trust(networks_of(settings.api_proxies), header, secret)


def sharing_secret(settings: Settings) -> bytes:
    """32 bytes of the deployment's secret."""
    return hashlib.sha256(DeploymentSecrets(settings).get(DEPLOYMENT_SECRET).encode()).digest()
