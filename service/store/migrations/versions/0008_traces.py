"""the trace that an evaluation belongs to"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("evaluations", sa.Column("trace", sa.String(55), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("evaluations") as table:
        table.drop_column("trace")
