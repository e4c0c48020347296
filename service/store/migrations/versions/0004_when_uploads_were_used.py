"""when uploads were used, and when evaluations ended

Also: the chunks that cancelled and failed evaluations left, which nobody needs.
"""

import time

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INDICES = (
    ("artifacts_by_use", "artifacts", "used_at"),
    ("evaluations_by_end", "evaluations", "ended_at"),
    ("deliveries_by_evaluation", "deliveries", "evaluation"),
    ("idempotency_keys_by_evaluation", "idempotency_keys", "evaluation"),
    ("idempotency_keys_by_age", "idempotency_keys", "created_at"),
)


def upgrade() -> None:
    op.add_column("artifacts", sa.Column("used_at", sa.Float(precision=53), nullable=False, server_default="0"))
    op.execute(sa.text("UPDATE artifacts SET used_at = :now").bindparams(now=time.time()))  # nothing expires at once
    for name, table, column in INDICES:
        op.create_index(name, table, [column])
    op.execute(
        "DELETE FROM chunks WHERE evaluation IN (SELECT id FROM evaluations WHERE state IN ('failed', 'cancelled'))"
    )


def downgrade() -> None:
    for name, table, _column in INDICES:
        op.drop_index(name, table)
    with op.batch_alter_table("artifacts") as batch_op:
        batch_op.drop_column("used_at")
