"""`strongroom agent set`: what the agent's host decides alone, in its own file."""

from pathlib import Path


def agent_set(
    *,
    data: Path,
    bandwidth: str | None = None,
    refuse: str | None = None,
    storage: str | None = None,
    targets: str | None = None,
) -> int:
    """Say on the agent's host what it does not do for its control plane, and how fast it sends.

    Lists have commas; `none` empties one. What is not given stays.

    Example: strongroom agent set --data /var/lib/strongroom-agent --refuse in-place,load
        --storage https://store.example.com:8445 --bandwidth 50MiB/s

    Parameters
    ----------
    bandwidth
        Of all backups of this agent together, into storage; none: no limit.
    refuse
        Kinds of orders: backup, stream, restore, in-place, start, files (on this host), send
        (files into a container or a bucket), load (into a server), drill.
    storage
        URLs beneath which alone packs and log are put and read; none: wherever it says.
    targets
        URLs beneath which alone files of a point, or of a server, are left; none: anywhere.
    """
    from strongroom.agent.bounds import bounded
    from strongroom.agent.commands import set_bandwidth
    from strongroom.agent.own_settings import OwnSettingsFile
    from strongroom.agent.settings import Settings

    if bandwidth is not None:
        set_bandwidth(data, bandwidth)
    lists = {"refuse": refuse, "storage": storage, "targets": targets}
    asked = {name: _words(text) for name, text in lists.items() if text is not None}
    OwnSettingsFile(Settings(data=data).own_file).change(lambda known: bounded(known, asked))
    return 0


def _words(text: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    return [] if words == ["none"] else words
