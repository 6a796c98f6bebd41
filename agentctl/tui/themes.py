"""The dashboard's colours. Without colours (NO_COLOR) Textual draws all of them in grey."""

from textual.theme import Theme

THEMES = (
    Theme(
        name="agentctl-dark",
        primary="#7aa2f7",
        secondary="#9ece6a",
        accent="#e0af68",
        warning="#e0af68",
        error="#f7768e",
        success="#9ece6a",
        foreground="#c8d0e0",
        background="#16181d",
        surface="#1c1f26",
        panel="#262a33",
        dark=True,
    ),
    Theme(
        name="agentctl-light",
        primary="#1d4ed8",
        secondary="#15803d",
        accent="#b45309",
        warning="#b45309",
        error="#b91c1c",
        success="#15803d",
        foreground="#1f2430",
        background="#fbfbf9",
        surface="#f1f1ee",
        panel="#e4e4df",
        dark=False,
    ),
    Theme(
        name="agentctl-contrast",
        primary="#ffff00",
        secondary="#00ffff",
        accent="#ffffff",
        warning="#ffff00",
        error="#ff6060",
        success="#00ff00",
        foreground="#ffffff",
        background="#000000",
        surface="#000000",
        panel="#202020",
        dark=True,
    ),
)


def theme_name(setting: str) -> str:
    return f"agentctl-{setting}"
