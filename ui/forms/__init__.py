"""The experiment's form, built from its schema."""
