"""What lies in storage, and what it costs."""
