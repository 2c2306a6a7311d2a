"""Keys at rest: beside the data, on paper, and those of one restore."""
