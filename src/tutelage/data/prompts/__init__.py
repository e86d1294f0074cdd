"""From a conversation to token ids: encoding, wordings, chat templates, and what is supervised."""
