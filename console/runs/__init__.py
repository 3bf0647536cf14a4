"""Runs: everything anyone did to the fleet, step by step."""
