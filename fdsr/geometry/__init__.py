"""Where a face and its components lie: landmarks, boxes, alignment."""
