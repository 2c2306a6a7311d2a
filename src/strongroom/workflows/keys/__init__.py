"""Keys beside the data: escrowed, counted, rotated, destroyed."""
