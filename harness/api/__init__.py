"""``import detoxbench``: the functions of the package, each in a file; ``detoxbench/__init__.py`` names them."""
