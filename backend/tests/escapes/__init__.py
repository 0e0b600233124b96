"""What hostile strategies try, as data (`attempts`), and what became of it (`assault`)."""
