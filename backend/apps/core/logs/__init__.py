"""What the five terminals write down: JSON lines in files for who looks for a cause, French for who watches."""
