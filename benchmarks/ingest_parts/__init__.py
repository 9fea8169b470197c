"""What the ingest benchmark is made of: the table, the servers, and one file per way of reading it."""
