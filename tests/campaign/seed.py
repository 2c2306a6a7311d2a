"""The campaign's one seed: what is drawn by chance follows from it alone."""

import os

SEED = int(os.environ.get("SEED", "18"))
