"""Whether what was committed is there, whole, and restores."""
