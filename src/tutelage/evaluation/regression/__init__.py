"""What tuning cost the model of text in general, on passages and prompts that ship."""
