"""The container that an order's SAS opens."""

from collections.abc import Callable
from pathlib import Path

from strongroom.agent.held_lease import HeldLease
from strongroom.datastore.blobs import AzureBlobs, Blobs

OpenContainer = Callable[[HeldLease, str], Blobs]


def container_opener(ca_file: Path | None) -> OpenContainer:
    """Opens containers by (lease, scope of the SAS). `ca_file`: for https with our own authority.

    Every request carries the newest SAS that a heartbeat brought.
    """

    def open_container(held: HeldLease, scope: str) -> Blobs:
        url = held.access.container_url
        held.sas(scope)
        ca = ca_file if url.startswith("https:") else None
        return AzureBlobs(url, sas=lambda: held.sas(scope), ca=ca)

    return open_container
