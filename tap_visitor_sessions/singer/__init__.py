"""The Singer tap: command line, discovery, stream, selection, state, messages, batches."""
