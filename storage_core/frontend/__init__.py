"""The Blob service over HTTP: parse, authorize, route, answer."""
