"""What every command stands on: how it speaks, and how it reaches the API."""
