"""Which bytes of which files lie where: the map of a point, and what changes in it."""
