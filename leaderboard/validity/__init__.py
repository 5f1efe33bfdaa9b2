"""What scorers' numbers are worth, as published records: ``leaderboard/scorers/*.json``, and who looks them up."""
