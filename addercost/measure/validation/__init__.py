"""Compares predictions with times: published times, and times of this machine."""
