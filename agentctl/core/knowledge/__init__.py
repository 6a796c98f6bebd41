"""The user's own documents: reading, cutting, storing, finding and citing them."""
