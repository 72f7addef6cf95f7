"""When something happens: one file per reason. Each sensor has a pure decide() tested alone."""
