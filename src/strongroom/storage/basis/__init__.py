"""What all of the store stands on: names, settings, a blob, a disk and the room on it."""
