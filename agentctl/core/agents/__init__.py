"""Agents: three frameworks on one model door, their tools behind one gate."""
