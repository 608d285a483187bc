"""An answer's bytes -> typed, coerced, sorted records; hashed, or as Arrow tables."""

from tap_visitor_sessions.sessions.records.coercion import Warnings
from tap_visitor_sessions.sessions.records.decoder import ORDER, Decoder, Raw
from tap_visitor_sessions.sessions.records.hashing import Hasher
from tap_visitor_sessions.sessions.records.kinds import kind_of
from tap_visitor_sessions.sessions.records.structs import Record
from tap_visitor_sessions.sessions.records.tables import Tables

__all__ = ["ORDER", "Decoder", "Hasher", "Raw", "Record", "Tables", "Warnings", "kind_of"]
