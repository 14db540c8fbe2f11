"""Networks of other papers, for which the user has the weights.

None of their weights come with the package. `files` reads them without executing
anything; each network is a file.
"""
