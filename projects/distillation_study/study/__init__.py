"""A study: several recipes, several seeds each, and what they tell."""
