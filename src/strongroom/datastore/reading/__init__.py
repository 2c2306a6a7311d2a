"""Packs in, bytes of files out, each of them checked."""
