"""What is measured of all resources of a department or a library, added up beside what is of each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Of departments and libraries the resource is left empty, and the name says which.
_TOGETHER = """
INSERT INTO quality_sums
  (about, resource, name, measure, version, period, department, library, met, base, errors, runs)
SELECT '{of}', '', {of}, measure, '', period, {department}, {library}, sum(met), sum(base), sum(errors), sum(runs)
FROM quality_sums WHERE about = 'all' GROUP BY {of}, measure, period
"""


def upgrade() -> None:
    """Add up what was kept so far."""
    op.execute(sa.text(_TOGETHER.format(of="department", department="department", library="''")))
    op.execute(sa.text(_TOGETHER.format(of="library", department="''", library="library")))


def downgrade() -> None:
    """Take it out again."""
    op.execute(sa.text("DELETE FROM quality_sums WHERE about IN ('department', 'library')"))
