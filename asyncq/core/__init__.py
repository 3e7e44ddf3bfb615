"""Ground floor: the words and rules of the house. No Redis, no fork, no hidden state; everyone may import it."""
