"""What people decide about a workspace, kept in a database; all SQL is in this package."""

from dashboard.services.records.database import Records, records
from dashboard.services.records.slices import Saved, SliceTable

__all__ = ["Records", "Saved", "SliceTable", "records"]
