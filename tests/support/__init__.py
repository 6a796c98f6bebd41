"""Servers, runners and guards that the tests share."""
