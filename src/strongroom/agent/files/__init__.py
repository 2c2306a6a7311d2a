"""Restores that leave files: dumps and their papers in a directory, a container or a bucket."""
