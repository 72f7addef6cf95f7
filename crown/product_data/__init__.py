"""Product records from FileMaker and IBM i, and packages for partners."""
