"""SQL models and their descriptions; only .sql and .yml belong here."""
