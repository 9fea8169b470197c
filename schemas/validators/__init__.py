"""Check digits and formats of Chinese identifiers: one table, three equal back ends (Arrow, SQL, scalar)."""
