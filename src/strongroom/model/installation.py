"""Who this installation is, in Azure's terms."""

import msgspec


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """One strongroom installation is one tenant with one subscription in one location."""

    tenant_id: str
    subscription_id: str
    location: str  # Azure style, lower case: "local"
    resource_group: str  # the one that the command line uses
    public_url: str  # https://host:port, what clients see
    portal_url: str  # http://127.0.0.1:port
    other_urls: tuple[str, ...] = ()  # https://host:port, where the same API answers too
