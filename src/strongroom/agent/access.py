"""The container that an order's SAS opens."""

from collections.abc import Callable, Sequence
from pathlib import Path

from strongroom.agent.bounds import check_url
from strongroom.agent.held_lease import HeldLease
from strongroom.datastore.places.blobs import AzureBlobs, Blobs

OpenContainer = Callable[[HeldLease, str], Blobs]


def container_opener(
    ca_file: Path | None, storage: Callable[[], Sequence[str]] = tuple
) -> OpenContainer:
    """Opens containers by (lease, scope of the SAS), beneath the URLs of `storage` if it has any.

    Raises TargetRefused for another one, and for one that is asked in the clear. Over https it
    trusts the authority that came with the SAS, else the one in `ca_file`. Every request carries
    the newest SAS that a heartbeat brought.
    """

    def open_container(held: HeldLease, scope: str) -> Blobs:
        url = held.access.container_url
        check_url(url, storage(), "storage")
        held.sas(scope)
        return AzureBlobs(url, sas=lambda: held.sas(scope), ca=_authority(held, ca_file))

    return open_container


def _authority(held: HeldLease, ca_file: Path | None) -> bytes | None:
    if held.access.ca:
        return held.access.ca.encode()
    return ca_file.read_bytes() if ca_file is not None else None
