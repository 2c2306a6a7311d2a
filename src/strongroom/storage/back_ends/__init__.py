"""Where committed bytes lie: the local disk, or a provider's bucket."""
