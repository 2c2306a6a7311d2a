"""Of this installation: whose catalogue it is, and which processes serve it."""
