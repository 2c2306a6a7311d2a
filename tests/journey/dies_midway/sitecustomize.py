"""A power cut: the process that has this on its path is killed as it is about to send a pack.

It dies once: when it has told several times what it has stored, and the file that DIES_MIDWAY
names is there still. Its packs are small, so that little data makes many, and each is told.
"""

import os
import signal
from pathlib import Path

from strongroom.agent import memory
from strongroom.datastore.care import partial
from strongroom.datastore.places.blobs import AzureBlobs

memory.WHOLE = memory.Share(pack_raw_size=4 << 20, workers=2)
partial._REST = 0
_trip = Path(os.environ["DIES_MIDWAY"])
_create = AzureBlobs.create
_told = []


def _until_it_is_told(self, name, data):
    if name.endswith(".pack") and len(_told) >= 8 and _trip.exists():
        _trip.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    _create(self, name, data)
    if name.startswith("d/") and name.count("/") == 2:
        _told.append(name)


AzureBlobs.create = _until_it_is_told
