"""Who must hear what: conditions become alarms, alarms become messages to people, each delivered and recorded."""
