"""Have PostgreSQL's programs at hand for the tests: the host's own, or fetched ones."""

import sys

from strongroom.model.errors import ToolsMissing
from strongroom.postgres.server.tools import find_tools, install


def main(majors: list[int]) -> None:
    for major in majors:
        try:
            find_tools(major)
        except ToolsMissing:
            install(major)


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]])
