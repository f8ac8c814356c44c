"""TFLite files, which the network runtimes of phones and microcontrollers read, as traces. No torch."""
