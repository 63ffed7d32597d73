"""Who may do what; until there is an authorizer, everybody may do everything."""
