"""What this vault signs: that a point was committed, what a drill found, that keys are gone."""
