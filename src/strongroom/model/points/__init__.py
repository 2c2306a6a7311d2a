"""Recovery points: which there are, how long each is kept and why, what may be asked of one."""
