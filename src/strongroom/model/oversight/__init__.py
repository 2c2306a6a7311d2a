"""What people are told afterwards: audit, alerts, costs and the daily digest."""
