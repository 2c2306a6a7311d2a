"""What no receipt names: the remains of a backup under way, and what nobody needs."""
