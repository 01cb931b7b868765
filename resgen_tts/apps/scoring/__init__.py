"""The verbs that measure: protocols, spoken items, scores, comparisons."""
