"""Takes a tuned model away: adapter, merged weights, GGUF or Ollama, each proven to be the model that was trained."""
