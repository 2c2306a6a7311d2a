"""What has an address of its own: the subscription, its groups, vaults, guards, servers."""
