"""What nobody understood stands in the history of checks only as it may be told: personal data stays in quarantine."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_RUN = sa.table("quality_run", sa.column("resource"), sa.column("run"), sa.column("results", sa.Text))


def upgrade() -> None:
    """Take the spellings as they were received out of every check; beside the batch they are kept as they were."""
    connection = op.get_bind()
    found = sa.select(_RUN.c.resource, _RUN.c.run).where(_RUN.c.results.contains('"unparsed":'))
    for resource, run in connection.execute(found).tuples().all():
        this = sa.and_(_RUN.c.resource == resource, _RUN.c.run == run)
        results = json.loads(connection.execute(sa.select(_RUN.c.results).where(this)).scalar_one())
        results.pop("unparsed", None)
        text = json.dumps(results, ensure_ascii=False)
        connection.execute(sa.update(_RUN).where(this).values(results=text))


def downgrade() -> None:
    """Leave it as it is: nobody knows any more what stood there."""
