"""The log as it streams: whose, what is kept of it, what goes, what is learnt from it again."""
