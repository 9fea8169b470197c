"""The demonstration: generated departmental systems, and a ledger of what Shutong must make of them."""
