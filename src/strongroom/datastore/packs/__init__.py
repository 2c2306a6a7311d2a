"""Packs, byte for byte: raw streams in frames, compressed, sealed to a public key."""
