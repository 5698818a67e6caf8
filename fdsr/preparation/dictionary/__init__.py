"""Building a dictionary with a teacher's encoder, and looking at one."""
