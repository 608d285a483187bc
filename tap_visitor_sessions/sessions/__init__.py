"""Sessions complete and in order: account and customers, zones, windows, reader, pipeline,
records. Knows no host.
"""
