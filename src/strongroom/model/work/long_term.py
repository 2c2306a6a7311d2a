"""Long-term backups that somebody else keeps: dumps into a container of theirs.

Source: Microsoft, "Azure Database for PostgreSQL REST API", Long Term Retention Backup.
"""

import re

import msgspec

from strongroom.model.errors import Invalid

KIND = "long-term"  # of an agent's operation
_NAME = re.compile(r"[-.\w]{1,128}", re.ASCII)


class LongTermOrder(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """Dump a server as it is now; the container's SAS comes with the lease as "files"."""

    server: str
    job_id: str
    backup_name: str  # begins every file's name
    target_url: str


def read_backup_name(text: str) -> str:
    """Checked at the door. Raises Invalid."""
    if not _NAME.fullmatch(text):
        raise Invalid(
            f"{text[:60]!r} is no name for a backup",
            hint="send backupSettings.backupName: letters, digits, dots, hyphens, underscores",
            code="BMSUserErrorInvalidInput",
        )
    return text
