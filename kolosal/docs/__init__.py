"""The generated parts of the documentation, made from the code that they describe."""
