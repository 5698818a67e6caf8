"""The facial dictionary: atoms and matching, regions of a feature map, file format."""
