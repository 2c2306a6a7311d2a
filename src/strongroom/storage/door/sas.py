"""Service SAS at the door: signature, stored policy, time, protocol, address, and what for."""

import ipaddress
from collections.abc import Awaitable, Callable

from whenever import Instant

from strongroom.model.errors import Forbidden, Invalid
from strongroom.model.identities.sas import (
    ServiceSas,
    canonical_resource,
    directory_of,
    is_in_time,
    is_signed_by,
    parse_service_sas,
    sign_service_sas,
    under_policy,
)
from strongroom.storage.basis.settings import Account
from strongroom.storage.door.grant import Grant
from strongroom.storage.door.request import Request
from strongroom.storage.ledger.identifiers import Identifier, withdrawn

FindIdentifier = Callable[[str, str], Awaitable[Identifier | None]]  # container, id
READING = frozenset("rl")  # whoever signs with the reader key gives away no more than it may
service_sas = sign_service_sas  # minting is the same rule as checking: one page, identities/sas.py
__all__ = ["check_sas", "service_sas"]


async def check_sas(
    request: Request, account: Account, now: Instant, find: FindIdentifier
) -> Grant:
    """What the token grants on exactly this resource, or Forbidden."""
    try:
        sas = parse_service_sas(request.query)
    except Invalid as error:
        raise _failed(error.message) from error
    resource = _resource(request, account, sas)
    # Compared also when there is no resource that it could fit, so that both take the same time.
    place = resource or canonical_resource(account.name, "")
    signed = is_signed_by(sas, account.key, place)
    by_reader = is_signed_by(sas, account.reader_key, place) and bool(account.reader_key)
    if not (signed or by_reader) or resource is None:
        raise _failed("the signature does not fit the resource")
    if sas.identifier:
        # Asked only now: nobody learns without a signature which identifiers there are.
        sas = _under(sas, await find(request.container or "", sas.identifier))
    if not is_in_time(sas, now):
        raise _failed("the signature is not valid in its time frame")
    if sas.protocol == "https" and not request.secure:
        raise Forbidden(
            "the signature is good for https only", code="AuthorizationProtocolMismatch"
        )
    if sas.ip and not _is_from(request.client, sas.ip):
        raise Forbidden(
            "the signature is not good for this address", code="AuthorizationSourceIPMismatch"
        )
    return Grant(
        _caller(sas, resource.removeprefix("/blob/" + account.name)),
        sas.permissions if signed else sas.permissions & READING,
        tuple(sas.overrides.items()),
        sas.identifier,
    )


def _under(sas: ServiceSas, found: Identifier | None) -> ServiceSas:
    if found is None:
        raise withdrawn(sas.identifier)
    try:
        return under_policy(sas, found.policy)
    except Invalid as error:
        raise _failed(error.message) from error


def _caller(sas: ServiceSas, resource: str) -> str:
    letters = "".join(sorted(sas.permissions))
    named = f" si={sas.identifier}" if sas.identifier else ""
    return f"sas sp={letters} {resource}{named}"


def _failed(what: str) -> Forbidden:
    return Forbidden(what, code="AuthenticationFailed")


def _resource(request: Request, account: Account, sas: ServiceSas) -> str | None:
    """The resource that the token must have been signed for, to be good for this request."""
    if request.container is None:
        return None
    if sas.resource == "c":
        return canonical_resource(account.name, request.container)
    path = request.name
    if sas.resource == "d":
        path = directory_of(request.name or "", sas.depth)
    return canonical_resource(account.name, request.container, path) if path else None


def _is_from(client: str, allowed: str) -> bool:
    first, _, last = allowed.partition("-")
    try:
        address = ipaddress.ip_address(client)
        low, high = ipaddress.ip_address(first), ipaddress.ip_address(last or first)
    except ValueError:
        return False
    if not address.version == low.version == high.version:
        return False
    return int(low) <= int(address) <= int(high)
