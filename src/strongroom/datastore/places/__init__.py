"""Where objects lie: a container at a storage endpoint, what is in it, how fast they go there."""
