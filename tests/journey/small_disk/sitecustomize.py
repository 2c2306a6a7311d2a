"""Disk: for the process that has this on its path, one directory lies on a tiny file system.

A real one would need a mount, and so root. Only the question "how much is free?" is answered
otherwise, and only there.
"""

import os

FREE_BLOCKS = 10
_small = os.environ["SMALL_DISK"]
_real = os.statvfs


def _statvfs(path):
    found = _real(path)
    if str(path).startswith(_small):
        fields = list(found)
        fields[4] = FREE_BLOCKS  # f_bavail
        return os.statvfs_result(fields)
    return found


os.statvfs = _statvfs
