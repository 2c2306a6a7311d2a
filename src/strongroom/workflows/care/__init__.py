"""What runs by the clock, and what is told of it."""
