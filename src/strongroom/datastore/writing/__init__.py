"""Bytes of files in, packs in storage out."""
