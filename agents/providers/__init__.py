"""What answers a prompt: a server that speaks the OpenAI protocol, or the offline provider."""
