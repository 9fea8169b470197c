"""`python -m shutong` is the same as `shutong`."""

from shutong.cli import main

main()
