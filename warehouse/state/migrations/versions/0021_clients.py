"""Applications of departments, the certificates they show, and the keys that belong to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; a key issued before belongs to no application."""
    op.create_table(
        "share_client",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("department", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("networks", sa.JSON, nullable=False),
        sa.Column("proofs", sa.JSON, nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("disabled_at", sa.String(40)),
        sa.UniqueConstraint("department", "name", name="share_client_name"),
    )
    op.create_table(
        "share_client_certificate",
        sa.Column("fingerprint", sa.String(64), primary_key=True),
        sa.Column("client", sa.Integer, nullable=False),
        sa.Column("added_at", sa.String(40), nullable=False),
    )
    op.add_column("api_key", sa.Column("client", sa.Integer))
    op.add_column("api_key", sa.Column("last_used", sa.String(10)))


def downgrade() -> None:
    """Take them back."""
    with op.batch_alter_table("api_key") as table:
        table.drop_column("last_used")
        table.drop_column("client")
    op.drop_table("share_client_certificate")
    op.drop_table("share_client")
