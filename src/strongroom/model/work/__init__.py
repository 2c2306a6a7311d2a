"""Jobs, and the agent's protocol: what is asked of an agent, and what it answers."""
