"""What a user can turn: the settings, the filter, the declaration of the stream."""
