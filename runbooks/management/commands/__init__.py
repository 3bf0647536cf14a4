"""`manage.py worker` and `manage.py watcher`."""
