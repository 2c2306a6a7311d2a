"""Recovery points: taken, held, proven, and what is left when they end."""
