"""A second person, and what is signed: approvals, guards, the audit, evidence."""
