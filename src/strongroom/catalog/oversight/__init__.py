"""What a person must see or approve, and the record of what was done."""
