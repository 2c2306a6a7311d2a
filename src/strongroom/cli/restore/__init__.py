"""A restore as it is asked for: the plan, the target, the moment, and what is taken."""
