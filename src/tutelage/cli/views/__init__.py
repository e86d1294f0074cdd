"""What a person sees: everything that prints what the stages report and return."""
