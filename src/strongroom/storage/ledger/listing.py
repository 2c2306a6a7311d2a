"""A listing as Azure pages it: in name order, with common prefixes where a delimiter is given."""

from dataclasses import replace

from strongroom.storage.basis.blob import Asked, Blob, Page
from strongroom.storage.ledger.ledger import BEYOND, Ledger


def page_of(ledger: Ledger, container: str, asked: Asked) -> Page:
    """One page. With a delimiter, names beyond it are summed up."""
    prefix, delimiter, after = asked.prefix, asked.delimiter, asked.after
    blobs: list[Blob] = []
    prefixes: list[str] = []
    while room := asked.limit - len(blobs) - len(prefixes):
        found = ledger.blobs(container, replace(asked, after=after, limit=room))
        if not found:
            return Page(tuple(blobs), tuple(prefixes), None)
        for blob in found:
            after = blob.name
            end = blob.name.find(delimiter, len(prefix)) if delimiter else -1
            if end >= 0:
                prefixes.append(blob.name[: end + len(delimiter)])
                after = prefixes[-1] + BEYOND
                break
            blobs.append(blob)
    more = bool(ledger.blobs(container, replace(asked, after=after, limit=1)))
    return Page(tuple(blobs), tuple(prefixes), after if more else None)
