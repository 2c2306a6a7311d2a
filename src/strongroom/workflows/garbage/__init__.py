"""What no recovery point needs: condemned, and deleted after a grace."""
