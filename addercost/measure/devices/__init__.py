"""Where calls are timed: this machine's processor, or a GPU."""
