"""Runs in folders, compared as the command compares them."""

from tutelage.stages.compare import compare


def compare_folders(folders, baseline):
    return compare([folder.root for folder in folders], baseline=baseline.root)
