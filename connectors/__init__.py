"""How records leave a department: one file per protocol, none per department."""

from connectors.errors import SourceChanged, SourceError, SourceRefused, SourceUnavailable
from connectors.options import Secrets
from connectors.registry import KINDS, open_source

__all__ = ["KINDS", "Secrets", "SourceChanged", "SourceError", "SourceRefused", "SourceUnavailable", "open_source"]
