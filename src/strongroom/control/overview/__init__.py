"""Everything at one glance, and what it tells: alerts, costs, reports, numbers."""
