{{ visitor_sessions.communications() }}
