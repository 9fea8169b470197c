"""A client certificate as the proxy in front writes it into a header, and the fingerprint it is known by."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import ssl
from datetime import datetime
from urllib.parse import unquote

from cryptography import x509

from sharing.caller_refusals import CertificateError

_BEGIN = "-----BEGIN CERTIFICATE-----"
_FINGERPRINT = re.compile(r"[0-9a-fA-F]{64}|[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){31}")


def fingerprint(written: str, now: datetime) -> str:
    """The SHA-256 of the certificate in DER, hexadecimal.

    `written` is PEM, plain or percent-encoded (nginx: $ssl_client_escaped_cert), base64 of DER between colons
    (RFC 9440), or a SHA-256 fingerprint. Raises CertificateError when it is none, or `now` is out of its time, which
    only a whole certificate tells.
    """
    text = unquote(written).strip()
    if _FINGERPRINT.fullmatch(text):
        return text.replace(":", "").lower()
    try:
        if text.startswith(_BEGIN):
            der = ssl.PEM_cert_to_DER_cert(text)
        elif text.startswith(":") and text.endswith(":"):
            der = base64.b64decode(text.strip(":"), validate=True)
        else:
            raise CertificateError.unusable()
        told = x509.load_der_x509_certificate(der)
    except (ValueError, binascii.Error):
        raise CertificateError.unusable() from None
    if not told.not_valid_before_utc <= now <= told.not_valid_after_utc:
        raise CertificateError.unusable()
    return hashlib.sha256(der).hexdigest()
