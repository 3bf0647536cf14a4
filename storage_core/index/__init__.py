"""Rows by key: the port, RocksDB behind it, and a twin in memory."""
