"""How the packages are installed that only some commands need: no index has the project yet."""


def how_to_install(extra: str) -> str:
    return f'in a clone of the project, make setup - or pip install ".[{extra}]"'
