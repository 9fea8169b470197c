"""Ask a Shutong exchange from Python."""

from shutong_client.answers import Answer, Change, Changes, Line, Proof, Record
from shutong_client.calling import Terms
from shutong_client.client import Client
from shutong_client.errors import (
    ClientError,
    MissingError,
    NotAllowedError,
    NotKnownError,
    ProfileError,
    ReceiptError,
    RefusedError,
    SpentError,
    UnavailableError,
    UnreachableError,
)
from shutong_client.profile import Profile
from shutong_client.query import Query
from shutong_client.receipts import Receipt

__all__ = [
    "Answer", "Change", "Changes", "Client", "ClientError", "Line", "MissingError", "NotAllowedError", "NotKnownError",
    "Profile", "ProfileError", "Proof", "Query", "Receipt", "ReceiptError", "Record", "RefusedError", "SpentError",
    "Terms", "UnavailableError", "UnreachableError",
]  # fmt: skip
