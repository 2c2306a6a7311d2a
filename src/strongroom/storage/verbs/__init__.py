"""What can be asked of the endpoint: each verb says what it needs, then does it."""
