"""Accounts, orders and matching; no network in here."""
