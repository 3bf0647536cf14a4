"""The Cluster page: each node's own account of itself, and how they agree."""
