"""Pages of relations: their checksums, their versions, what differs, what is damaged."""
