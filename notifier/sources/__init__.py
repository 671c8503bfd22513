"""Monitoring tools that tell us about alerts: one file for each, found by listing this folder.

What each file offers stands in `notifier.ports.SourceModule`. A file whose name begins with an
underscore is a help for the others.
"""
