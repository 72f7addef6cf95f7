"""How a department's items are planned, made, verified and removed. No word of any department."""
