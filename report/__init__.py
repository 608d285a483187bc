"""A first look at the loaded sessions: one HTML file made from the database.

No part of the wheel; `python3 dev.py report` runs it.
"""
