"""What commands are given from outside: time, chance, and the work of other rooms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from strongroom.model.listening import Listening
from strongroom.model.seams import Chance, Clock

MEANS = "means"  # the parameter that `main.run` fills


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """`app.py` makes it; the callables reach rooms that this one may not import.

    install_tools(major) -> directory of the programs
    list_points(storage, files of a recovery key or kit) -> one dict a point: id, takenAt,
    sizeBytes, problem
    rescue(storage, those files, point, to, on_progress) -> facts to show; on_progress(raw,
    fetched) is told how many bytes came since the last call
    make_kit(text of a recovery key, shares needed, shares) -> its documents; 1 of 1 is whole
    make_recovery_key(receipt key's public half, base64) -> (text of a recovery key, its public
    half, base64)
    check_evidence(files, receipt key's public half: base64 or a file) -> one dict an object: file,
    kind, key, states, detail (None: not beside it), problem (empty: it is genuine)
    public_of(files of a kit) -> the public half of its recovery key, base64
    upgrade_catalogue(data directory of serve) -> one line for each thing done
    new_enrol_token(data directory of serve, catalogue's URL or "") -> a token for one agent
    reset_password(data directory of serve, catalogue's URL or "", name) -> another password
    rebuild(data directory of serve, store_url=, account_key=, store_ca=, keys=files of a kit,
    catalogue=, kek=) -> what was found: workflows/rebuild.py
    issue_certificate(data directory of serve, listening, directory) -> the files of a certificate
    and its key, made there when there are none that fit
    """

    clock: Clock
    chance: Chance
    install_tools: Callable[[int], Path]
    list_points: Callable[[Path, Sequence[Path]], list[dict[str, Any]]]
    rescue: Callable[[Path, Sequence[Path], str, Path, Callable[[int, int], None]], dict[str, Any]]
    make_kit: Callable[[str, int, int], list[str]]
    make_recovery_key: Callable[[str], tuple[str, str]]
    check_evidence: Callable[[Sequence[Path], str], list[dict[str, Any]]]
    public_of: Callable[[Sequence[Path]], str]
    upgrade_catalogue: Callable[[Path], list[str]]
    rebuild: Callable[..., dict[str, Any]]
    new_enrol_token: Callable[[Path, str], str]
    reset_password: Callable[[Path, str, str], str]
    issue_certificate: Callable[[Path, Listening, Path], tuple[Path, Path]]


Given = Annotated[Means, Parameter(parse=False)]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """Options of every command."""

    data: Annotated[
        Path | None,
        Parameter(
            env_var="STRONGROOM_DATA",
            help="Directory of this installation. Default: /var/lib/strongroom for root, "
            "else ~/.local/share/strongroom.",
        ),
    ] = None
    output: Annotated[
        Literal["table", "json"], Parameter(help="How to print the result: table or json.")
    ] = "table"


COMMON = Common()
