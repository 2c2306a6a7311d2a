"""Durable stories: backup, restore, and the sweeps that start them."""
