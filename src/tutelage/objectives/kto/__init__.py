"""KTO: answers that a label calls desirable or not, each judged by itself."""
