"""The store's own book: which blobs exist, until when they stay, who was let in."""
