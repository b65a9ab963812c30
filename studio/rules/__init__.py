"""The doctor's rules, one module for each group; importing the package enters all of them into RULES."""

from studio.rules import balance, course, ending, network, problem, solution
from studio.rules.rule import RULES, Rule, Sighting

__all__ = ["RULES", "Rule", "Sighting", "balance", "course", "ending", "network", "problem", "solution"]
