"""Dumps in chunks: cut where their content says, laid over those of their parent."""
