"""inspections have leases, and successes are found by an index of their own"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KNOWN = ("evaluations_by_fingerprint", "evaluations")


def upgrade() -> None:
    op.add_column("artifacts", sa.Column("lease_until", sa.Float(precision=53), nullable=True))
    op.drop_index(*KNOWN)
    op.create_index(*KNOWN, ["tenant", "fingerprint", "state"])


def downgrade() -> None:
    op.drop_index(*KNOWN)
    op.create_index(*KNOWN, ["tenant", "fingerprint"])
    with op.batch_alter_table("artifacts") as batch_op:
        batch_op.drop_column("lease_until")
