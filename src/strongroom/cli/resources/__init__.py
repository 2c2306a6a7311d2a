"""What has an address of its own: policies, the vault, its keys."""
