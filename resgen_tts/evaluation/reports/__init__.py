"""How figures are shown: tables, pages, pictures."""
