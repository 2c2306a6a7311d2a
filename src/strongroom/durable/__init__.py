"""The durable engine behind a narrow interface: the only room that imports dbos."""
