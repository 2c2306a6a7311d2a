"""Who may do what, and by which token or signature they prove who they are."""
