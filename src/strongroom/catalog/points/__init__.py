"""Recovery points: what they are, what holds them, what was found of them."""
