"""Recovery points and jobs: taken, listed, proven, held, collected."""
