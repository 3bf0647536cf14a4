"""The log on disk: records, segments, recovery and cleaning."""
