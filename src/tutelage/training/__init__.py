"""Stage 2: tune the model and watch the losses."""
