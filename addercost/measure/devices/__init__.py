"""The devices on which calls are timed: this machine's processor, and a GPU."""
