"""The dashboard: one screen for chat, agents, tasks, knowledge and the machine."""
