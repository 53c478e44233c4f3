"""What Alembic runs; the connection comes from ``records/database.py``, inside one transaction."""

from alembic import context

from dashboard.services.records.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
