"""zstd as it suits pages and log: one compressor for each thread, level and length of frame."""

import threading
from collections.abc import Mapping

import zstandard

_LOG = 1 << 20  # bytes: frames of pages are shorter
_OF_LOG = {  # decision 0216: tables that fit into a processor's cache
    6: {"hash_log": 18, "search_log": 1},
    9: {"hash_log": 19, "search_log": 4},
    13: {
        "strategy": zstandard.STRATEGY_BTOPT,
        "min_match": 4,
        "hash_log": 17,
        "chain_log": 16,
        "search_log": 1,
        "target_length": 32,
    },
    16: {"min_match": 4, "hash_log": 19, "chain_log": 21, "search_log": 1, "target_length": 32},
}
_thread = threading.local()


def compressor_for(level: int, frame_size: int) -> zstandard.ZstdCompressor:
    """This thread's own, for frames of at most so many bytes; `level` as zstd counts, 1 to 19."""
    found: dict[tuple[int, int], zstandard.ZstdCompressor]
    found = _thread.__dict__.setdefault("compressors", {})
    if (level, frame_size) not in found:
        parameters = zstandard.ZstdCompressionParameters.from_level(
            level, source_size=frame_size, write_checksum=False, **_tuned(level, frame_size)
        )
        compressor = zstandard.ZstdCompressor(compression_params=parameters)
        found[level, frame_size] = compressor
    return found[level, frame_size]


def _tuned(level: int, frame_size: int) -> Mapping[str, int]:
    """What suits the bytes better than zstd's own choice for a level."""
    if frame_size < _LOG:
        # Pages repeat in long pieces: to look for no shorter ones is a tenth faster, and as small.
        return {"min_match": 7, "hash_log": 12} if level == 1 else {}
    # Log repeats what was written some seconds ago.
    return {"window_log": 24, **_OF_LOG.get(level, {})}
