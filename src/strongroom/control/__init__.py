"""Use cases, by rooms, one file a noun: who asks, may they, decide, write rows, enqueue."""
