"""The cyclic executive: schedule table, offline analysis, frame loop, modes, health, processes."""
