"""The process that runs the factories and forwards of users, the pipe to it, and its supervisor."""
