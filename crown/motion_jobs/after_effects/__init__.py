"""After Effects projects: reading, editing with proof, comparing. No jobs and no ledger."""
