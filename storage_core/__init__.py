"""An embedded, replicated blob store: one Raft group whose log is the store."""
