"""Proofs that a recovery point is whole: every byte read, and drills that restore it."""
