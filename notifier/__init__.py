"""notifier tells customers about a service disruption before they have to ask."""
