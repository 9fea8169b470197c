"""The parts of the warehouse benchmark, one file per claim; warehouse.py runs them."""
