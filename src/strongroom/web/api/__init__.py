"""The ARM-shaped API: one file a resource."""
