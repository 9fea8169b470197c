"""How far a resource came: the steps in order, resource files, run records."""
