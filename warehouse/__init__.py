"""Where records rest: object store, tables, landing, merging, the serving store, the state database."""
