"""Incidents: what people think about. Alerts join one, its timeline writes itself."""
