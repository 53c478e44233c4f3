"""The tables. A change here needs a migration in ``migrations/versions``."""

from __future__ import annotations

from sqlalchemy import Column, Integer, MetaData, String, Table, Text, UniqueConstraint

# Every constraint has a name, by which a later migration can change it on any database
METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(column_0_label)s",
    }
)

SLICES = Table(
    "slices",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("workspace", String(64), nullable=False),
    Column("name", String(60), nullable=False),
    Column("definition", Text, nullable=False),  # JSON, see dashboard/services/slices.py
    Column("revision", Integer, nullable=False),  # grows with every change, so that no change is overwritten unseen
    UniqueConstraint("workspace", "name"),
)
