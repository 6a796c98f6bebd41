"""What runs with no user present: schedules, watched folders, measuring, mending."""
