"""--to-files and what goes with it: a directory, a container, a bucket. Secrets come apart."""

import getpass
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from strongroom.model.errors import Invalid

SIGNATURE = "STRONGROOM_TARGET_SAS"  # in the environment
_LONGEST = 4096


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Options of a restore as files."""

    to_files: Annotated[
        str,
        Parameter(
            help="Where dumps of all databases (or of --database) are left, with the roles: a new "
            "or empty directory, the URL of a container (Azure's, or of a store of ours), or "
            "s3://BUCKET/PREFIX, for which the agent has credentials of its own."
        ),
    ] = ""
    prefix: Annotated[str, Parameter(help="What the names of --to-files begin with.")] = ""
    sas_file: Annotated[
        Path | None,
        Parameter(
            help=f"A file with the container's SAS (read, create, write). Default: {SIGNATURE} in "
            "the environment, else it is asked for. A container of our own store needs none where "
            "the vault's identity may write."
        ),
    ] = None
    s3_endpoint: Annotated[str, Parameter(help="Of the bucket, if it is not AWS's.")] = ""

    @property
    def directory(self) -> Path | None:
        """None when it is none."""
        return Path(self.to_files) if self.to_files and not self.url else None

    @property
    def url(self) -> str:
        """Without a signature; empty for a directory. Raises Invalid when it carries one."""
        scheme, colon, _ = self.to_files.partition("://")
        if not colon or not scheme.isalnum():
            return ""
        if "?" in self.to_files:
            raise Invalid(
                "a signature among the arguments can be read by everybody on this machine",
                hint=f"Leave out what follows the question mark: --sas-file FILE, or {SIGNATURE}.",
            )
        return self.to_files

    def signed_url(self) -> str:
        """With the signature from where it was put, if it was."""
        signature = self._signature() if self.url.startswith("http") else ""
        return f"{self.url}?{signature}" if signature else self.url

    def _signature(self) -> str:
        if self.sas_file is not None:
            found = _read(self.sas_file)
        else:
            found = os.environ.get(SIGNATURE, "")
            if not found and sys.stdin.isatty():
                found = getpass.getpass("SAS of the container (our own needs none): ")
        found = found.strip().rpartition("?")[2]
        given = self.sas_file is not None
        if (given and not found) or any(letter.isspace() for letter in found):
            raise Invalid(
                "that is no signature (SAS) of a container",
                hint=f"Give --sas-file FILE, or set {SIGNATURE} in the environment.",
            )
        return found


FILES = Files()


def _read(path: Path) -> str:
    try:
        with path.open() as file:
            return file.read(_LONGEST)
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(
            f"{path} cannot be read", hint="Name the file that holds the SAS."
        ) from error
