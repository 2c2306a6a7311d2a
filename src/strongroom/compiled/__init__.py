"""The two loops over pages that are worth compiling; None where they are not (decision 0240).

They are built from pages.c when the package is installed, if there is a C compiler. Whoever uses
one has a way in Python too, which gives the same, more slowly. Both let go of the interpreter
while they work, so that threads do run side by side. A page has 8192 bytes.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

Bytes = bytes | bytearray | memoryview

_BUILT = "strongroom.compiled._pages"
_pages = import_module(_BUILT) if find_spec(_BUILT) is not None else None

page_sums: Callable[[Bytes], bytes] | None = getattr(_pages, "page_sums", None)
"""(whole pages) -> of each the XOR of its 32 sums, 4 bytes, little-endian.

Source: PostgreSQL src/include/storage/checksum_impl.h. Raises ValueError for a part of a page.
"""

ghash: Callable[[bytes, Bytes], bytes] | None = getattr(_pages, "ghash", None)
"""(hash subkey, whole pages) -> of each the GHASH of its bytes and their length, 16 bytes.

Source: NIST SP 800-38D, 6.4. Needs a processor with carry-less multiplication. Raises ValueError
for a part of a page and for a subkey that has not 16 bytes.
"""
