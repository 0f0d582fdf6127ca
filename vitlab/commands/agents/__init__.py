"""Commands for work without a person at the screen: by the plan's own order, or by an assistant."""
