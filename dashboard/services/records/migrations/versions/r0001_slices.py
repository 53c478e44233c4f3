"""Named filters."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table of slices."""
    op.create_table(
        "slices",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("workspace", sa.String(64), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_slices"),
        sa.UniqueConstraint("workspace", "name", name="uq_slices_workspace_name"),
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_table("slices")
