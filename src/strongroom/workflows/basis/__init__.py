"""What every story stands on: its means, keys, the way to storage, the wait for an agent."""
