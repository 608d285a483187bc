{{ visitor_sessions.hits() }}
