"""The log of a server as it is kept, and the moments it leads to."""
