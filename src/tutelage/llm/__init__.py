"""Models that are asked by name: on a server, of Ollama, or a GGUF file in this process."""
