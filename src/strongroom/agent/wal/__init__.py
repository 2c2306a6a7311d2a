"""The log: streamed or archived into packs as it happens, fetched ahead of a recovery."""
