"""Jobs, the agents that do them, and what agents are asked."""
