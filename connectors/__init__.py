"""How records leave a department: one file per protocol, none per department."""
