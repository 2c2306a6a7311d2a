"""PostgreSQL's own programs, and the catalogue's tables."""

from strongroom.cli import connection, console
from strongroom.cli.means import COMMON, Common, Given


def install(major: int, *, common: Common = COMMON, means: Given) -> None:
    """Fetch PostgreSQL's programs of a major version, pinned by digest.

    ```
    strongroom pgtools install 17
    ```
    """
    directory = means.install_tools(major)
    if common.output == "json":
        console.as_json({"major": major, "directory": str(directory)})
    else:
        console.say(f"PostgreSQL {major} lies in {directory}")


def upgrade(*, common: Common = COMMON, means: Given) -> None:
    """Bring the catalogue's tables to what this version expects.

    ```
    strongroom db upgrade
    ```
    """
    for line in means.upgrade_catalogue(connection.data_directory(common) / "serve"):
        console.say(line)
