"""From a file that somebody uploads to a workspace: read within limits, train one of our own models, keep, explain.

``reading`` -> ``proposal`` -> ``preparing`` -> ``building``; ``projects`` makes the project of what was kept.
"""
