"""what analyses found of each unit"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unit_pages",
        sa.Column("evaluation", sa.String(40), primary_key=True),
        sa.Column("page", sa.Integer(), primary_key=True),
        sa.Column("lines", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("unit_pages")
