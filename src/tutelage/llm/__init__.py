"""Clients for language models: on a server, with Ollama, or from a GGUF file in this process."""
