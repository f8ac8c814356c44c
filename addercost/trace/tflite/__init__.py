"""TFLite files, which runtimes on phones and microcontrollers read, as traces. This needs no torch."""
