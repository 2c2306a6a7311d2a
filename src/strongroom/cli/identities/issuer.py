"""Whose tokens are believed beside the installation's own."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from strongroom.cli.basis import console
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.cli.basis.vault import Vault
from strongroom.model.errors import Invalid


def add(  # noqa: PLR0913 - options
    name: str,
    url: str,
    /,
    *,
    audience: Annotated[
        list[str] | None, Parameter(help="What `aud` of its tokens says; none: our own address.")
    ] = None,
    subject_claim: Annotated[
        str, Parameter(help="The claim that says who they are: sub, or oid at Microsoft.")
    ] = "sub",
    groups_claim: Annotated[str, Parameter(help="The claim that lists their groups.")] = "groups",
    ca: Annotated[
        Path | None, Parameter(help="PEM of the authority of its certificate, if a private one.")
    ] = None,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Trust an issuer of OpenID Connect: whoever it vouches for signs in with its tokens.

    What is trusted never changes; remove the issuer and add it anew, and all its people with it.

    ```
    strongroom issuer add corp https://idp.example.com/realms/corp --audience strongroom
    ```

    Parameters
    ----------
    name
        What it is called here.
    url
        Its address, as `iss` of its tokens says it.
    """
    told = {"issuer": url, "subjectClaim": subject_claim, "groupsClaim": groups_claim}
    asked = {"properties": told | {"audiences": audience or [], "certificateAuthority": _read(ca)}}
    with vaults.opened(common, means) as vault:
        made = vault.rest.put(f"{_home(vault)}/{name}", asked)
    if common.output == "json":
        console.as_json(made)
        return
    console.note(
        f"{name} is trusted; name somebody of theirs: "
        f"strongroom principal link NAME --issuer {name} --subject ID --role ROLE"
    )


def list_issuers(*, common: Common = COMMON, means: Given) -> None:
    """List the issuers that are trusted.

    ```
    strongroom issuer list
    ```
    """
    with vaults.opened(common, means) as vault:
        found = vault.rest.list(_home(vault))
    if common.output == "json":
        console.as_json(found)
        return
    rows = [
        (each["name"], told["issuer"], ", ".join(told["audiences"]), told["subjectClaim"])
        for each in found
        for told in [each["properties"]]
    ]
    console.table(("issuer", "address", "audiences", "subject"), rows, "only our own")


def remove(name: str, /, *, common: Common = COMMON, means: Given) -> None:
    """Trust an issuer no longer: everybody it vouches for loses every role, for good.

    ```
    strongroom issuer remove corp
    ```

    Parameters
    ----------
    name
        What it is called here.
    """
    with vaults.opened(common, means) as vault:
        gone = vault.rest.delete(f"{_home(vault)}/{name}")
    console.note(f"{name} is trusted no longer" if gone else f"{name} was not trusted")


def _home(vault: Vault) -> str:
    subscription = f"/subscriptions/{vault.connection.subscription}"
    return f"{subscription}/providers/Microsoft.Authorization/trustedIssuers"


def _read(ca: Path | None) -> str:
    if ca is None:
        return ""
    try:
        return ca.read_text("ascii")
    except (OSError, ValueError) as error:
        raise Invalid(f"{ca} cannot be read as PEM", hint="name a certificate's file") from error
