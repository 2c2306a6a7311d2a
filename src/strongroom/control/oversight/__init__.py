"""What others see of what is done: approvals by a second person, and the audit."""
