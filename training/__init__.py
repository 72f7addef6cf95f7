"""How the networks of the studio cut-out engine are trained. Nothing at run time imports this package."""
