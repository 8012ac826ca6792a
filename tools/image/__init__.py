"""`make image-check`: builds the image for real, without a container engine, and tries it as it would run."""
