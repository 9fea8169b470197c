"""Tables and views of departmental databases: one file per family of database, one source over all of them."""
