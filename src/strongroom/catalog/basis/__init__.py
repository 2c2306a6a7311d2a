"""One engine on two databases, and what every table is made of."""
