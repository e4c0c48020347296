"""How fast: Lesion beside what people write themselves, on the same networks, data and questions."""
