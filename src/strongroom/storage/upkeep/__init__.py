"""What the endpoint does by itself: scrubs, catches up, fills itself from another."""
