"""Many looks at one place, one answer: what the scenes of a period say together."""
