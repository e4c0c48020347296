"""Does the score predict? Hundreds of small networks on real data, scored by the service: see docs/evidence.md."""
