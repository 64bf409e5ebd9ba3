"""Jobs: contract, admission, planning, product catalogue, egress gate."""
