"""The facial dictionary: components and boxes, matching, building, file format."""
