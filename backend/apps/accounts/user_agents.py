"""Names a browser for people from what it says of itself. A lie there costs nothing: it is only shown."""

# The first that is found counts: most browsers also claim to be those below them.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
_MAX_SHOWN = 32


def browser_name(user_agent: str) -> str:
    """Return « Firefox sur Linux », the program's own name for a script, or « Navigateur inconnu »."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    if not browser:
        program = user_agent.partition("/")[0].partition(" ")[0][:_MAX_SHOWN]
        return program if program and program.isprintable() else "Navigateur inconnu"
    return f"{browser} sur {system}" if system else browser
