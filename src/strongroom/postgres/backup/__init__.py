"""Reading a server: its files by the stream or from the disk, whole or what has changed."""
