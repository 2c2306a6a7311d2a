"""What whoever speaks Azure's blob protocol writes: the version spoken, and a date."""

from email.utils import format_datetime

from whenever import Instant

API_VERSION = "2025-01-05"


def http_date(moment: Instant) -> str:
    """As in `Last-Modified`."""
    return format_datetime(moment.to_stdlib(), usegmt=True)
