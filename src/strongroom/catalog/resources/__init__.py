"""What has an address of its own: vaults, policies, guards, servers, their groups."""
