"""What every use case stands on: control, access, a second person, long-running answers."""
