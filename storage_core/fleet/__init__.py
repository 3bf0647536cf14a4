"""One command starts, watches, restarts and stops every process of Holdfast on this machine."""
