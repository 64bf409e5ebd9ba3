"""The demonstration mission: a channel, a gateway and a satellite as separate processes under one shared clock."""
