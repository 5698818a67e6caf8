"""A study of several arms with several seeds each: plan, jobs and report."""
