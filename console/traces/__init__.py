"""The list of kept traces and one trace as a waterfall."""
