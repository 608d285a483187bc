"""The Airbyte source: spec, check, discover and read, from the same core."""
