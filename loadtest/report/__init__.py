"""What a run has shown: as data, as a page, as plots, and beside another run."""
