"""Limits of people and tokens, with their units and reasons."""

TOKEN_DAYS = 90  # A token that nobody renews ends within a quarter.
TOKEN_DAYS_MAX = 366
