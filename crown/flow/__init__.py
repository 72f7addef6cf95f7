"""How a department's items are planned, made, verified and removed. Independent of any department."""
