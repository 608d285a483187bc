"""Singer tap for the visitor sessions of CallGear, CoMagic and UIS."""
