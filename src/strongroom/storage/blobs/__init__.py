"""Whole blobs under names that are given once: received, kept, read again, mended."""
