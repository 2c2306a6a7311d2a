"""A catalogue from storage, and what it needs to be one."""
