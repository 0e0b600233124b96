"""Endurance: an instance at work for hours under faults and kills, then reconciled with the exchange's record."""
