"""Is the number true?"""
