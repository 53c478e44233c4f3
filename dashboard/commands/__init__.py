"""The commands of ``influence``, by what they are for; each imports torch, which takes seconds, only when it runs."""
