"""The recovery format: packs, sealing, manifests, deltas, receipts, reading and writing them."""
