"""The states of a backup instance, and which act leads from which to which.

Source: azure-mgmt-dataprotection 2.2.0, CurrentProtectionState; Microsoft, "Manage backup of Azure
Database for PostgreSQL - Flexible Server".
"""

from dataclasses import dataclass

CONFIGURING = "ConfiguringProtection"
FAILED = "ConfiguringProtectionFailed"
CONFIGURED = "ProtectionConfigured"
UPDATING = "UpdatingProtection"
STOPPED = "ProtectionStopped"
SUSPENDED = "BackupSchedulesSuspended"
SOFT_DELETED = "SoftDeleted"

ABLE = frozenset({CONFIGURED, UPDATING})  # backups begin, by schedule and on demand
# What leads on to a state in which backups begin.
_NEXT = {
    CONFIGURING: "wait until its protection is configured",
    FAILED: "mend what its protectionErrorDetails name, then put the instance again or sync it",
    STOPPED: "resume it first: resumeProtection, or strongroom resume",
    SUSPENDED: "resume it first: resumeBackups, or strongroom resume",
}
# No point ends by age. Of what is suspended points end, and the newest good one stays.
KEPT = {
    STOPPED: "protection is stopped: what there is is kept",
    SOFT_DELETED: "the server's protection is deleted: it all goes when it is purged",
}


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody asks for, by its name on the wire."""

    name: str
    after: str
    before: frozenset[str]


STOP = Act("stopProtection", STOPPED, ABLE | {SUSPENDED})
SUSPEND = Act("suspendBackups", SUSPENDED, ABLE | {STOPPED})
# `az dataprotection` has no other command to resume what was suspended.
RESUME_PROTECTION = Act("resumeProtection", CONFIGURED, frozenset({STOPPED, SUSPENDED}))
RESUME_BACKUPS = Act("resumeBackups", CONFIGURED, frozenset({SUSPENDED}))
ACTS = (STOP, SUSPEND, RESUME_PROTECTION, RESUME_BACKUPS)


def next_step(state: str) -> str:
    """What to do with an instance in this state so that backups of it begin."""
    return _NEXT.get(state, "look at the instance's currentProtectionState")
