"""Storage and the recovery key alone: restored by hand, or a catalogue built anew."""
