"""What mmengine lacks: exact resume, self-describing checkpoints, two optimisers."""
