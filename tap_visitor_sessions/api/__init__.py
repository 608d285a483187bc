"""The vendor's Data API: bytes, envelope, authentication, limits, errors, one call.

Knows no stream and no host.
"""
