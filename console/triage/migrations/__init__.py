"""Migrations of the audit table."""
