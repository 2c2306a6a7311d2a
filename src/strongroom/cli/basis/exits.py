"""Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 denied, 5 stands. The one table."""

from strongroom.model import errors

OK, FAILED, USAGE, NOT_FOUND, DENIED = 0, 1, 2, 3, 4
STANDS = 5  # of a process that must not be started again before somebody has acted
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

EXIT_CODES: dict[type[errors.VaultError], int] = {
    errors.VaultError: FAILED,
    errors.Invalid: USAGE,
    errors.NotFound: NOT_FOUND,
    errors.Unauthenticated: DENIED,
    errors.Forbidden: DENIED,
    errors.StoreDenied: DENIED,
    errors.CatalogueLost: STANDS,
}


def exit_code(kind: type[errors.VaultError]) -> int:
    """The code of a class: its own, or that of the nearest class above it."""
    for cls in kind.__mro__:
        if cls in EXIT_CODES:
            return EXIT_CODES[cls]
    return FAILED
