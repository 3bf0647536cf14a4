"""Objectives, how fast their budgets burn, and when that is somebody's trouble."""
