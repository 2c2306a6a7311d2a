"""Who is believed, who holds which role, who is signed in."""
