"""`python -m strongroom` and the `strongroom` command."""

import sys

from strongroom.app import commands


def main() -> None:
    """Run and leave with its exit code."""
    sys.exit(commands.main())


if __name__ == "__main__":
    main()
