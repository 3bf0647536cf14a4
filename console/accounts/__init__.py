"""Who may enter: one-time sign-in links for people, bearer tokens for programs."""
