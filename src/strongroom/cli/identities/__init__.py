"""Who signs in, and whose tokens are believed."""
