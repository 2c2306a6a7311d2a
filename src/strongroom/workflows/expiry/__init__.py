"""How a point ends: its time, a hold, a purge."""
