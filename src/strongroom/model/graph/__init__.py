"""What Azure Resource Graph is asked: the words of a query, their values, a place in the rows."""
